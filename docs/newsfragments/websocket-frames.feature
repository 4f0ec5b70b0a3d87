A message over WebSocket takes the server less than half of the time that it took.
