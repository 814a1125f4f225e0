// An ESP32 whose MicroPython runs Usage Guard's sets of files from flash: see README.md.
#define MICROPY_HW_BOARD_NAME "ESP32 with Usage Guard's partitions"
#define MICROPY_HW_MCU_NAME "ESP32"

#define MICROPY_VFS_ROM (1)  // and, by the port's default, vfs.rom_ioctl
