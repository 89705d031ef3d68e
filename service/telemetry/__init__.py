"""What Taskbell reports about itself: log lines, and traces for OpenTelemetry."""

from typing import TypeAlias

Attribute: TypeAlias = str | int
"""The value of a span's attribute."""
