"""What `sbc doctor` looks at: the machine, the process's rights, and a running border."""
