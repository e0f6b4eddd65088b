package com.example.greeting;

import java.util.Set;
import org.springframework.messaging.simp.SimpMessageType;

/**
 * What pages may do. Behind the relay all pages come to the broker under one
 * login, so it cannot tell one from another: this application has to.
 *
 * Above all no page may name /queue/…-user… itself. That is what Spring makes of
 * /user/queue/… for one session, after this check.
 */
final class Door {

    private static final Set<String> TOPICS = Set.of("/topic/greetings", "/app/welcome");

    private Door() {
    }

    static boolean open(SimpMessageType type, String destination) {
        return switch (type) {
            case SUBSCRIBE -> destination != null && (TOPICS.contains(destination) || destination.startsWith("/user/queue/"));
            case MESSAGE -> destination != null && destination.startsWith("/app/");
            default -> true; // CONNECT, UNSUBSCRIBE, DISCONNECT, heart-beats, and what has no destination
        };
    }
}
