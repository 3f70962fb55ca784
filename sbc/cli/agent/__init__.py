"""Two telephones for `sbc call`: sockets, SIP and media of their own, nothing of the border's."""
