"""Notices to those who subscribed: topics, subscriptions, what is sent. Pure."""
