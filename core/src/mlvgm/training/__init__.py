"""What trainings of all plugins share: the order of images, noisy inputs, averages of weights."""
