A stanza between servers costs a fifth to a quarter less CPU time, and ``benchmarks/s2s.py`` measures that beside Prosody and ejabberd.
