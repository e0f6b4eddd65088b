package com.example.greeting;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.Principal;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.springframework.context.support.StaticApplicationContext;
import org.springframework.messaging.Message;
import org.springframework.messaging.converter.MappingJackson2MessageConverter;
import org.springframework.messaging.simp.SimpMessageHeaderAccessor;
import org.springframework.messaging.simp.SimpMessageType;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.annotation.support.SimpAnnotationMethodMessageHandler;
import org.springframework.messaging.simp.user.DefaultUserDestinationResolver;
import org.springframework.messaging.simp.user.SimpSubscription;
import org.springframework.messaging.simp.user.SimpSubscriptionMatcher;
import org.springframework.messaging.simp.user.SimpUser;
import org.springframework.messaging.simp.user.SimpUserRegistry;
import org.springframework.messaging.simp.user.UserDestinationMessageHandler;
import org.springframework.messaging.support.ExecutorSubscribableChannel;
import org.springframework.messaging.support.MessageBuilder;

/**
 * Runs the classes of the example for its Go test, in the spring-messaging of
 * Debian, which has everything but STOMP and WebSocket.
 *
 *   Drive spring            what the controller makes of a page's messages, as JSON lines
 *   Drive api ADMIN TOKEN   DirectController and HoofbeatApi: a hello, and the ticket they got
 */
class Drive {

    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        if (args[0].equals("api")) {
            api(new HoofbeatApi(URI.create(args[1]), args[2]));
        } else {
            spring();
        }
    }

    static void api(HoofbeatApi hoofbeat) {
        Principal user = () -> "ann +/%";
        var controller = new DirectController(hoofbeat);
        controller.hello(user, new Hello("all č"));
        System.out.println(controller.ticket(user).get("ticket"));
        try {
            hoofbeat.send("/nowhere", new Greeting(""));
            System.out.println("/nowhere was accepted");
        } catch (IllegalStateException e) {
            System.out.println(e.getMessage());
        }
    }

    static void spring() throws Exception {
        var in = new ExecutorSubscribableChannel();
        var out = new ExecutorSubscribableChannel();
        var broker = new ExecutorSubscribableChannel();
        var template = new SimpMessagingTemplate(broker);
        template.setMessageConverter(new MappingJackson2MessageConverter());
        var controller = new GreetingController(template);
        var context = new StaticApplicationContext();
        context.getBeanFactory().registerSingleton("greetings", controller);
        context.refresh();

        var methods = new SimpAnnotationMethodMessageHandler(in, out, template);
        methods.setDestinationPrefixes(Set.of("/app"));
        methods.setApplicationContext(context);
        methods.setMessageConverter(new MappingJackson2MessageConverter());
        methods.afterPropertiesSet();
        methods.start();
        new UserDestinationMessageHandler(in, broker, new DefaultUserDestinationResolver(new Nobody())).start();
        broker.subscribe(m -> print("broker", m));
        out.subscribe(m -> print("page", m));

        in.send(page(SimpMessageType.SUBSCRIBE, "/app/welcome", "", "welcome"));
        in.send(page(SimpMessageType.SUBSCRIBE, "/user/queue/replies", "", "sub-0"));
        in.send(page(SimpMessageType.MESSAGE, "/app/hello", "{\"name\":\"Ann\"}", null));
        in.send(page(SimpMessageType.MESSAGE, "/app/whisper", "{\"name\":\"Ann\"}", null));
        controller.announce("Good morning.");

        for (var destination : List.of("/topic/greetings", "/app/welcome", "/user/queue/replies", "/topic/**", "/topic/simp-user-registry",
            "/queue/replies-users1", "/queue/**", "/user/bob/queue/replies", "/app/hello")) {
            System.out.println(JSON.writeValueAsString(Map.of("to", "door", "destination", destination,
                "subscribe", Door.open(SimpMessageType.SUBSCRIBE, destination), "send", Door.open(SimpMessageType.MESSAGE, destination))));
        }
    }

    /** A frame of the page whose session is s1, as it comes out of the socket. */
    static Message<byte[]> page(SimpMessageType type, String destination, String payload, String subscription) {
        var headers = SimpMessageHeaderAccessor.create(type);
        headers.setDestination(destination);
        headers.setSessionId("s1");
        headers.setSessionAttributes(new LinkedHashMap<>());
        headers.setSubscriptionId(subscription);
        headers.setLeaveMutable(true);
        return MessageBuilder.createMessage(payload.getBytes(StandardCharsets.UTF_8), headers.getMessageHeaders());
    }

    static void print(String to, Message<?> message) {
        var headers = message.getHeaders();
        if (String.valueOf(SimpMessageHeaderAccessor.getDestination(headers)).startsWith("/user/")) {
            return; // for UserDestinationMessageHandler, which sends it on
        }
        var line = new LinkedHashMap<String, Object>();
        line.put("to", to);
        line.put("type", SimpMessageHeaderAccessor.getMessageType(headers).name());
        line.put("session", SimpMessageHeaderAccessor.getSessionId(headers));
        line.put("subscription", SimpMessageHeaderAccessor.getSubscriptionId(headers));
        line.put("destination", SimpMessageHeaderAccessor.getDestination(headers));
        line.put("headers", SimpMessageHeaderAccessor.wrap(message).toNativeHeaderMap());
        line.put("content_type", String.valueOf(headers.get("contentType")));
        line.put("payload", new String((byte[]) message.getPayload(), StandardCharsets.UTF_8));
        try {
            System.out.println(JSON.writeValueAsString(line));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** No user has a name. */
    static class Nobody implements SimpUserRegistry {
        @Override
        public SimpUser getUser(String name) {
            return null;
        }

        @Override
        public Set<SimpUser> getUsers() {
            return Set.of();
        }

        public int getUserCount() { // of later versions
            return 0;
        }

        @Override
        public Set<SimpSubscription> findSubscriptions(SimpSubscriptionMatcher matcher) {
            return Set.of();
        }
    }
}
