"""Why a device is offline. Loaded when that is asked."""
