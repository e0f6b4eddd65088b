package com.example.greeting;

import org.springframework.messaging.handler.annotation.MessageMapping;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.annotation.SendToUser;
import org.springframework.messaging.simp.annotation.SubscribeMapping;
import org.springframework.stereotype.Controller;

/**
 * The application behind /app. Nothing in it knows which broker there is: it is
 * as it was with enableSimpleBroker.
 */
@Controller
public class GreetingController {

    private final SimpMessagingTemplate messages;

    public GreetingController(SimpMessagingTemplate messages) {
        this.messages = messages;
    }

    /** SEND /app/hello: everybody who has subscribed to /topic/greetings sees it. */
    @MessageMapping("/hello")
    @SendTo("/topic/greetings")
    public Greeting hello(Hello hello) {
        return new Greeting("Hello, " + hello.name() + "!");
    }

    /** SEND /app/whisper: only the page that sent it hears, on /user/queue/replies. */
    @MessageMapping("/whisper")
    @SendToUser(destinations = "/queue/replies", broadcast = false)
    public Greeting whisper(Hello hello) {
        return new Greeting("Hello, " + hello.name() + ", nobody else hears this.");
    }

    /** SUBSCRIBE /app/welcome: one answer, by Spring itself. No broker is asked. */
    @SubscribeMapping("/welcome")
    public Greeting welcome() {
        return new Greeting("Welcome.");
    }

    /** What a job or a REST controller of the application calls. */
    public void announce(String text) {
        messages.convertAndSend("/topic/greetings", new Greeting(text));
    }
}
