"""What of one side reaches the other, and changed how."""
