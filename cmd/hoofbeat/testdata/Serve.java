import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import org.springframework.http.ResponseEntity;

/** Calls the controller of docs/handlers.md as Spring does: Debian has no Spring Boot. */
class Serve {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(args[0], 3000), 0);
        server.createContext("/orders", exchange -> {
            byte[] answer = {};
            int status = 500;
            try {
                byte[] body = exchange.getRequestBody().readAllBytes();
                String signature = exchange.getRequestHeaders().getFirst("Hoofbeat-Signature");
                ResponseEntity<Object> entity = new OrdersController().handle(signature == null ? "" : signature, body);
                status = entity.getStatusCode().value();
                if (entity.hasBody()) answer = new ObjectMapper().writeValueAsBytes(entity.getBody());
            } catch (Exception e) {
                e.printStackTrace();
            }
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(status, answer.length == 0 ? -1 : answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
