package com.example.greeting;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/**
 * Calls Hoofbeat's admin API. It replaces SimpMessagingTemplate in an application
 * whose pages connect to the broker, and makes tickets for its users.
 */
public class HoofbeatApi {

    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final ObjectMapper json = new ObjectMapper();
    private final URI admin;
    private final String token;

    public HoofbeatApi(URI admin, String token) {
        this.admin = admin;
        this.token = token;
    }

    /** Like SimpMessagingTemplate.convertAndSend. */
    public void send(String destination, Object payload) {
        post("/api/v1/messages", message(destination, payload));
    }

    /** Like SimpMessagingTemplate.convertAndSendToUser: sends to all sessions of the user. */
    public void sendToUser(String user, String destination, Object payload) {
        var name = URLEncoder.encode(user, StandardCharsets.UTF_8).replace("+", "%20"); // a path, not a form
        post("/api/v1/users/" + name + "/messages", message(destination, payload));
    }

    /** Makes a ticket with which one client can connect once as that user. */
    public String ticket(String user) {
        return post("/api/v1/tickets", Map.of("user", user, "ttl", 30)).path("ticket").asText();
    }

    private Map<String, String> message(String destination, Object payload) {
        try {
            return Map.of("destination", destination, "content_type", "application/json", "body", json.writeValueAsString(payload));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private JsonNode post(String path, Map<String, ?> body) {
        try {
            var request = HttpRequest.newBuilder(admin.resolve(path)).timeout(PATIENCE)
                .header("Authorization", "Bearer " + token)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(json.writeValueAsString(body)))
                .build();
            var answer = http.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() / 100 != 2) {
                throw new IllegalStateException("HTTP " + answer.statusCode() + ": " + answer.body().strip()); // a problem, RFC 9457
            }
            return answer.body().isEmpty() ? json.createObjectNode() : json.readTree(answer.body());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
