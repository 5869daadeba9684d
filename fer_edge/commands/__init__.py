"""What each command does; imported only when that command runs."""
