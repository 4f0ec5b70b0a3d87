"""
A whole daemon is killed again and again under load, and every message it had acknowledged is accounted for.

C{python -m tests.interop.crash --messages 20000 --kills 30 --seed 1} prints the account. What it is made of:

 - L{daemon<tests.interop.crash.daemon>}: a real server as a process of its own, started and killed;
 - L{wire<tests.interop.crash.wire>}: a raw client's connection, over C{asyncio};
 - L{people<tests.interop.crash.people>}: senders, and recipients in several states;
 - L{account<tests.interop.crash.account>}: who was promised what, and what came of it;
 - L{run<tests.interop.crash.run>}: the course of events;
 - L{disk<tests.interop.crash.disk>}: the same people, a disk that fails in place of a kill.
"""
