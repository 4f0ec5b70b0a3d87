Others can know that a guest is a guest (XEP-0489): the server marks guests' messages, requests and directed presence and tells whoever asks, and the owners of a room can let guests only listen.
