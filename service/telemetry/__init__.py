"""What Taskbell tells about itself: log lines, metrics, and traces for OpenTelemetry."""
