package com.example.greeting;

import java.util.Set;
import org.springframework.messaging.simp.SimpMessageType;

/**
 * Decides what pages may do. Behind the relay all pages use one login at the
 * broker, so the broker cannot distinguish them: this application must.
 *
 * Above all, no page may name /queue/…-user… itself. Spring translates
 * /user/queue/… of one session to that name, after this check.
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
