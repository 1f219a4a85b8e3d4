"""A Keras model as calls and values, also a subclassed one."""
