"""What Dockmaster costs, and how it compares: measurements on one machine, against real parts."""
