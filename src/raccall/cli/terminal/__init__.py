"""`raccall join` on a terminal: who is here, how loud, what is typed. `app.py` is the screen; what it shows is pure."""
