A stanza between servers costs about a tenth less CPU time; ``benchmarks/s2s.py`` measures that beside Prosody and ejabberd.
