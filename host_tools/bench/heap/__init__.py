"""What a deployed set keeps of the heap of a 32-bit MicroPython."""
