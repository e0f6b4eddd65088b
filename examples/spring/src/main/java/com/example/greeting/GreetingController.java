package com.example.greeting;

import org.springframework.messaging.handler.annotation.MessageMapping;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.annotation.SendToUser;
import org.springframework.messaging.simp.annotation.SubscribeMapping;
import org.springframework.stereotype.Controller;

/**
 * Handles messages to /app. It does not depend on the broker: it is the same as
 * with enableSimpleBroker.
 */
@Controller
public class GreetingController {

    private final SimpMessagingTemplate messages;

    public GreetingController(SimpMessagingTemplate messages) {
        this.messages = messages;
    }

    /** SEND /app/hello: all subscribers of /topic/greetings get the answer. */
    @MessageMapping("/hello")
    @SendTo("/topic/greetings")
    public Greeting hello(Hello hello) {
        return new Greeting("Hello, " + hello.name() + "!");
    }

    /** SEND /app/whisper: only the sending page gets the answer, on /user/queue/replies. */
    @MessageMapping("/whisper")
    @SendToUser(destinations = "/queue/replies", broadcast = false)
    public Greeting whisper(Hello hello) {
        return new Greeting("Hello, " + hello.name() + ", nobody else hears this.");
    }

    /** SUBSCRIBE /app/welcome: Spring itself answers once, without the broker. */
    @SubscribeMapping("/welcome")
    public Greeting welcome() {
        return new Greeting("Welcome.");
    }

    /** Publishes a greeting, for a job or a REST controller of the application. */
    public void announce(String text) {
        messages.convertAndSend("/topic/greetings", new Greeting(text));
    }
}
