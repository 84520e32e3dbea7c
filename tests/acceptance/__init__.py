"""The whole gateway, judged from outside: what the issues say is done when."""
