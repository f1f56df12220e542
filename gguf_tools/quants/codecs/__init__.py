"""One block format a module: its layout, its kernels, its codec."""
