"""How kernels are compiled and kept, and the threads that run them."""
