"""Plain functions that compose components: components in, result out."""
