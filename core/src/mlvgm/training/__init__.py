"""What trainings of all plugins share: the loop, the order of images, noisy inputs, averages of weights."""
