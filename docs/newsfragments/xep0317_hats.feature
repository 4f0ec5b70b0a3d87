Owners of chat rooms can make hats and give them to users (XEP-0317).
