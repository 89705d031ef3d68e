"""Prepare what the screens show: texts, forms, forecasts and calendars."""
