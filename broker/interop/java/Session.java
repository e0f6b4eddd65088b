import java.io.EOFException;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.activemq.transport.stomp.Stomp;
import org.apache.activemq.transport.stomp.StompConnection;
import org.apache.activemq.transport.stomp.StompFrame;

/** A connection that keeps the messages which come while something else is waited for. */
final class Session implements AutoCloseable {
    final StompConnection c;
    final String version;
    final Map<String, String> connected;
    final Deque<StompFrame> pending = new ArrayDeque<>();

    Session(String version) throws Exception {
        this(version, Driver.address, 0);
    }

    Session(String version, String to, long beat) throws Exception {
        this.version = version;
        c = open(to);
        HashMap<String, String> headers = connectHeaders(version);
        headers.put("heart-beat", beat + "," + beat);
        c.sendFrame(new StompFrame("CONNECT", headers).format()); // connect() would keep CONNECTED to itself
        connected = next(Stomp.Responses.CONNECTED).getHeaders();
        c.setVersion(version);
    }

    /** Returns the next frame, which must have this command. */
    StompFrame next(String command) throws Exception {
        StompFrame f = c.receive();
        Report.equal(f.getAction(), command, "the command of " + f);
        return f;
    }

    StompFrame message() throws Exception {
        StompFrame kept = pending.poll();
        return kept != null ? kept : next(Stomp.Responses.MESSAGE);
    }

    List<StompFrame> messages(int n) throws Exception {
        List<StompFrame> list = new ArrayList<>();
        while (list.size() < n) {
            list.add(message());
        }
        return list;
    }

    List<String> bodies(int n) throws Exception {
        List<String> list = new ArrayList<>();
        for (StompFrame m : messages(n)) {
            list.add(m.getBody());
        }
        return list;
    }

    /** Waits for a receipt and keeps the messages that come before it. */
    void receipt(String id) throws Exception {
        for (;;) {
            StompFrame f = c.receive();
            if (f.getAction().equals(Stomp.Responses.MESSAGE)) {
                pending.add(f);
                continue;
            }
            Report.equal(f.getAction() + " " + f.getHeaders().get("receipt-id"), "RECEIPT " + id, "what came for " + f);
            return;
        }
    }

    void subscribe(String destination, String id, String ack) throws Exception {
        String receipt = Report.unique("receipt");
        c.subscribe(destination, ack, new HashMap<>(Map.of("id", id, "receipt", receipt)));
        receipt(receipt);
    }

    void unsubscribe(String destination, String id) throws Exception {
        String receipt = Report.unique("receipt");
        c.unsubscribe(destination, new HashMap<>(Map.of("id", id, "receipt", receipt)));
        receipt(receipt);
    }

    void send(String destination, String body) throws Exception {
        String receipt = Report.unique("receipt");
        c.send(destination, body, null, new HashMap<>(Map.of("receipt", receipt)));
        receipt(receipt);
    }

    /** Sends ACK or NACK as the version has it, which ack() of StompConnection does for 1.0 only. */
    void settle(String command, StompFrame m, String transaction) throws Exception {
        Map<String, String> h = m.getHeaders();
        if (version.equals(Stomp.V1_0)) {
            c.ack(m, transaction);
            sync();
            return;
        }
        HashMap<String, String> headers = new HashMap<>();
        if (version.equals(Stomp.V1_2)) {
            headers.put("id", h.get("ack"));
        } else {
            headers.put("message-id", h.get("message-id"));
            headers.put("subscription", h.get("subscription"));
        }
        if (transaction != null) {
            headers.put("transaction", transaction);
        }
        String receipt = Report.unique("receipt");
        headers.put("receipt", receipt);
        c.sendFrame(new StompFrame(command, headers).format());
        receipt(receipt);
    }

    /** Returns when everything sent before was handled and what it led to has come. */
    void sync() throws Exception {
        unsubscribe("/topic/none", "none");
    }

    void silence() throws Exception {
        sync();
        Report.equal(pending.size(), 0, "messages that should not have come");
    }

    void ends() throws Exception {
        ends(c);
    }

    @Override
    public void close() throws IOException {
        c.close();
    }

    static void ends(StompConnection c) throws Exception {
        try {
            throw new AssertionError("after the last frame came " + c.receive());
        } catch (EOFException e) {
            // as it should
        }
    }

    static StompConnection open(String to) throws IOException {
        int colon = to.lastIndexOf(':');
        StompConnection c = new StompConnection();
        c.open(to.substring(0, colon), Integer.parseInt(to.substring(colon + 1)));
        return c;
    }

    static HashMap<String, String> connectHeaders(String version) {
        HashMap<String, String> h = new HashMap<>(Map.of("login", "alice", "passcode", "secret"));
        if (!version.equals(Stomp.V1_0)) {
            h.put("accept-version", version);
            h.put("host", "localhost");
        }
        return h;
    }
}
