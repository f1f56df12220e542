"""What the kernels of several block formats share."""
