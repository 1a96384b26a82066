"""Frames that carry samples over TCP and MQTT, byte by byte in ``docs/tcp.md``. Pure: no I/O.

``frames`` delimits and checks them, ``messages`` gives them meaning, ``packing`` packs samples.
"""
