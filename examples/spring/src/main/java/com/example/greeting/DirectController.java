package com.example.greeting;

import java.security.Principal;
import java.util.Map;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/**
 * The HTTP part of direct.html, whose WebSocket connects to Hoofbeat: it gives a
 * ticket and takes the greeting.
 */
@RestController
public class DirectController {

    private final HoofbeatApi hoofbeat;

    public DirectController(HoofbeatApi hoofbeat) {
        this.hoofbeat = hoofbeat;
    }

    /** With Spring Security, user is the signed-in user; this walk-through has none. */
    @PostMapping("/ws_ticket")
    public Map<String, String> ticket(Principal user) {
        return Map.of("ticket", hoofbeat.ticket(name(user)));
    }

    @PostMapping("/hello")
    public Map<String, String> hello(Principal user, @RequestBody Hello hello) {
        hoofbeat.send("/topic/greetings", new Greeting("Hello, " + hello.name() + "!"));
        hoofbeat.sendToUser(name(user), "/queue/replies", new Greeting("All have heard it."));
        return Map.of();
    }

    private static String name(Principal user) {
        return user == null ? "guest" : user.getName();
    }
}
