"""What a session may not do: one file per restriction."""
