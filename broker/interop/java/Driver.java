import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.activemq.transport.stomp.Stomp;
import org.apache.activemq.transport.stomp.StompConnection;
import org.apache.activemq.transport.stomp.StompFrame;
import org.apache.activemq.transport.stomp.StompWireFormat;

/**
 * Drives a broker with ActiveMQ's own STOMP client, in the three versions of the
 * protocol, and prints a line of JSON for each test and one with their number.
 *
 * usage: java Driver HOST:PORT QUICK-HOST:PORT QUICK-INTERVAL-MS [pinged]
 *
 * The second broker has short heart-beats. "pinged" says that WebSocket pings
 * keep a silent client alive, so that its end is not waited for.
 */
public final class Driver {

    static String address, quickAddress;
    static long quick;

    public static void main(String[] args) {
        address = args[0];
        quickAddress = args[1];
        quick = Long.parseLong(args[2]);
        List<String> all = List.of(Stomp.V1_0, Stomp.V1_1, Stomp.V1_2), later = all.subList(1, 3);

        Report.each(all, "connects, and disconnects with a receipt", Driver::connecting);
        Report.each(List.of(Stomp.V1_0), "connects with connect() and three headers", Driver::plainly);
        Report.each(all, "a wrong passcode is answered with ERROR", Driver::refused);
        Report.each(all, "exchanges messages, in UTF-8", Driver::exchanging);
        Report.each(all, "a body with NUL, by content-length", Driver::octets);
        Report.each(all, "a large body", Driver::large);
        Report.each(all, "many frames in one write, in order", Driver::burst);
        Report.each(later, "headers as ActiveMQ escapes them", Driver::escaping);
        Report.each(all, "ack client is cumulative", Driver::cumulative);
        Report.each(later, "ack and nack of client-individual", Driver::individual);
        Report.each(all, "begin, commit and abort", Driver::transactions);
        Report.each(all, "an aborted ACK leads to redelivery", Driver::abortedAck);
        Report.each(all, "a lost connection leads to redelivery, and aborts its transaction", Driver::lost);
        Report.each(all, "competing consumers share a queue", Driver::competing);
        Report.each(later, "heart-beats flow both ways", Driver::beating);
        if (args.length < 4) {
            Report.each(later, "a silent client is told and closed", Driver::silent);
        }
        Report.each(all, "a denied SUBSCRIBE is told and closed", Driver::denied);
        Report.each(all, "an unknown command is told and closed", Driver::unknown);
        Report.each(List.of(Stomp.V1_0), "subscribes and unsubscribes by destination", Driver::withoutId);
        Report.done();
    }

    static void connecting(String version) throws Exception {
        try (Session s = new Session(version)) {
            Report.equal(s.connected.get("version"), version, "version");
            Report.equal(s.connected.get("user-name"), "alice", "user-name");
            Report.equal(s.connected.get("session").length(), 32, "the length of the session id");
            Report.equal(s.connected.get("server").startsWith("hoofbeat"), true, "server");
            s.c.disconnect("bye");
            Report.equal(s.next(Stomp.Responses.RECEIPT).getHeaders().get("receipt-id"), "bye", "receipt-id");
            s.ends();
        }
    }

    static void plainly(String version) throws Exception {
        StompConnection c = Session.open(address);
        try {
            c.connect("alice", "secret", "a client-id");
            c.send("/topic/plain", "hello");
            c.disconnect("bye");
            Report.equal(c.receive().getAction(), Stomp.Responses.RECEIPT, "the answer to disconnect()");
            Session.ends(c);
        } finally {
            c.close();
        }
    }

    static void refused(String version) throws Exception {
        StompConnection c = Session.open(address);
        try {
            HashMap<String, String> headers = Session.connectHeaders(version);
            headers.put("passcode", "wrong");
            String said = null;
            try {
                c.connect(headers);
            } catch (Exception e) { // StompConnection throws exactly this class
                said = e.getMessage();
            }
            Report.equal(said, "Not connected: the login or the passcode is wrong", "what connect() throws");
            Session.ends(c);
        } finally {
            c.close();
        }
    }

    static void exchanging(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/java");
            s.subscribe(topic, "1", Stomp.Headers.Subscribe.AckModeValues.AUTO);
            HashMap<String, String> headers = new HashMap<>(Map.of("content-type", "text/plain", "x-custom", "žluťoučký"));
            s.c.send(topic, "Příliš žluťoučký 🐎", null, headers);
            StompFrame m = s.message();
            Report.equal(m.getBody(), "Příliš žluťoučký 🐎", "body");
            Report.equal(m.getHeaders().get("destination"), topic, "destination");
            Report.equal(m.getHeaders().get("subscription"), "1", "subscription");
            Report.equal(m.getHeaders().get("x-custom"), "žluťoučký", "x-custom");
            Report.equal(m.getHeaders().get("content-length"), "" + m.getContent().length, "content-length");
            s.unsubscribe(topic, "1");
            s.send(topic, "late");
            s.silence();
        }
    }

    static void octets(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/octets");
            s.subscribe(topic, "1", "auto");
            byte[] body = new byte[768];
            for (int i = 0; i < body.length; i++) {
                body[i] = (byte) i;
            }
            byte[] rest = Arrays.copyOf(body, body.length + 1); // with the NUL that ends the frame
            s.c.sendFrame("SEND\ndestination:" + topic + "\ncontent-length:" + body.length + "\n\n", rest);
            Report.equal(Arrays.toString(s.message().getContent()), Arrays.toString(body), "body");
        }
    }

    static void large(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/large"), body = "汉字".repeat(10000);
            s.subscribe(topic, "1", "auto");
            s.c.send(topic, body);
            Report.equal(s.message().getBody().equals(body), true, "60,000 octets came back");
        }
    }

    static void burst(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/burst");
            s.subscribe(topic, "1", "auto");
            StringBuilder frames = new StringBuilder();
            List<String> want = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                want.add("message " + i);
                frames.append("SEND\ndestination:").append(topic).append("\n\nmessage ").append(i).append('\0').append(i % 3 == 0 ? "\n" : "");
            }
            s.c.sendFrame(frames.toString());
            Report.equal(s.bodies(200), want, "bodies");
        }
    }

    static void escaping(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/escaped"), value = "back\\slash:colon\nnew line" + (version.equals("1.2") ? "\rreturn" : "");
            s.subscribe(topic, "1", "auto");
            StompWireFormat format = new StompWireFormat();
            format.setStompVersion(version);
            s.c.sendFrame(format.marshalToString(new StompFrame("SEND", new HashMap<>(Map.of("destination", topic, "x", value)), "b".getBytes())));
            Report.equal(s.message().getHeaders().get("x"), value, "header");
        }
    }

    static void cumulative(String version) throws Exception {
        try (Session s = new Session(version)) {
            String queue = Report.unique("/queue/java");
            for (String body : List.of("a", "b", "c", "d")) {
                s.send(queue, body);
            }
            s.subscribe(queue, "1", Stomp.Headers.Subscribe.AckModeValues.CLIENT);
            List<StompFrame> got = s.messages(4);
            s.settle("ACK", got.get(1), null);
            s.unsubscribe(queue, "1");
            s.subscribe(queue, "2", "client");
            List<StompFrame> again = s.messages(2);
            Report.equal(List.of(again.get(0).getBody(), again.get(1).getBody()), List.of("c", "d"), "what was not covered");
            Report.equal(again.get(0).getHeaders().get("redelivered"), "true", "redelivered");
            s.settle("ACK", again.get(1), null);
        }
    }

    static void individual(String version) throws Exception {
        try (Session s = new Session(version)) {
            String queue = Report.unique("/queue/java");
            for (String body : List.of("a", "b", "c")) {
                s.send(queue, body);
            }
            s.subscribe(queue, "1", Stomp.Headers.Subscribe.AckModeValues.INDIVIDUAL);
            List<StompFrame> got = s.messages(3);
            s.settle("ACK", got.get(1), null);
            s.settle("NACK", got.get(0), null);
            StompFrame again = s.message();
            Report.equal(again.getBody(), "a", "what was refused");
            Report.equal(again.getHeaders().get("redelivered"), "true", "redelivered");
            s.settle("ACK", again, null);
            s.unsubscribe(queue, "1");
            s.subscribe(queue, "2", "auto");
            Report.equal(s.message().getBody(), "c", "what was not settled");
        }
    }

    static void transactions(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/transactions");
            s.subscribe(topic, "1", "auto");
            s.c.begin("kept");
            s.c.begin("dropped");
            s.c.send(topic, "in 1", "kept", null);
            s.c.send(topic, "never", "dropped", null);
            s.c.send(topic, "in 2", "kept", null);
            s.c.send(topic, "outside");
            s.c.commit("kept");
            s.c.abort("dropped");
            s.c.send(topic, "after");
            Report.equal(s.bodies(4), List.of("outside", "in 1", "in 2", "after"), "bodies");
        }
    }

    static void abortedAck(String version) throws Exception {
        String queue = Report.unique("/queue/aborted");
        try (Session s = new Session(version)) {
            s.send(queue, "x");
            s.subscribe(queue, "1", "client");
            StompFrame m = s.message();
            s.c.begin("t");
            s.settle("ACK", m, "t");
            s.c.abort("t");
            s.unsubscribe(queue, "1");
            s.subscribe(queue, "2", "client");
            m = s.message();
            Report.equal(m.getBody() + " " + m.getHeaders().get("redelivered"), "x true", "what comes again");
            s.c.begin("t");
            s.settle("ACK", m, "t");
            s.c.commit("t");
            s.unsubscribe(queue, "2");
            s.subscribe(queue, "3", "auto");
            s.silence();
        }
    }

    static void lost(String version) throws Exception {
        String queue = Report.unique("/queue/lost");
        try (Session s = new Session(version)) {
            s.send(queue, "a");
            s.send(queue, "b");
            s.subscribe(queue, "1", "client");
            List<StompFrame> got = s.messages(2);
            s.c.begin("open");
            s.settle("ACK", got.get(1), "open");
            s.c.send(queue, "never", "open", null);
            s.sync();
        } // closes the socket without a DISCONNECT
        try (Session s = new Session(version)) {
            s.subscribe(queue, "1", "auto");
            for (String body : List.of("a", "b")) {
                StompFrame m = s.message();
                Report.equal(m.getBody() + " " + m.getHeaders().get("redelivered"), body + " true", "what comes again");
            }
            s.silence();
        }
    }

    static void competing(String version) throws Exception {
        String queue = Report.unique("/queue/shared");
        try (Session a = new Session(version); Session b = new Session(version)) {
            a.subscribe(queue, "1", "auto");
            b.subscribe(queue, "1", "auto");
            List<String> want = new ArrayList<>(), got = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                want.add("" + i);
                a.send(queue, "" + i);
            }
            a.sync();
            b.sync();
            Report.equal(a.pending.size(), 10, "what the first of two got");
            a.pending.forEach(m -> got.add(m.getBody()));
            b.pending.forEach(m -> got.add(m.getBody()));
            got.sort((x, y) -> Integer.parseInt(x) - Integer.parseInt(y));
            Report.equal(got, want, "each message once");
            a.pending.clear();
            b.pending.clear();
        }
    }

    static void beating(String version) throws Exception {
        try (Session s = new Session(version, quickAddress, quick)) {
            Report.equal(s.connected.get("heart-beat"), quick + "," + quick, "heart-beat");
            for (int i = 0; i < 8; i++) { // for each of its beats one of ours: far longer than it would bear silence
                s.c.getStompSocket().setSoTimeout(10_000);
                Report.equal(s.c.getStompSocket().getInputStream().read(), (int) '\n', "a heart-beat");
                s.c.keepAlive();
            }
            String topic = Report.unique("/topic/alive");
            s.subscribe(topic, "1", "auto");
            s.send(topic, "alive");
            Report.equal(s.message().getBody(), "alive", "body");
        }
    }

    static void silent(String version) throws Exception {
        try (Session s = new Session(version, quickAddress, quick)) {
            StompFrame e = s.next(Stomp.Responses.ERROR);
            Report.equal(e.getHeaders().get("message").startsWith("nothing was heard for "), true, "what the ERROR says: " + e);
            s.ends();
        }
    }

    static void denied(String version) throws Exception {
        try (Session s = new Session(version)) {
            s.c.subscribe("/topic/forbidden", "auto", new HashMap<>(Map.of("id", "1", "receipt", "denied")));
            StompFrame e = s.next(Stomp.Responses.ERROR);
            Report.equal(e.getHeaders().get("receipt-id"), "denied", "receipt-id");
            Report.equal(e.getBody(), "not allowed to subscribe to \"/topic/forbidden\"", "body");
            s.ends();
        }
    }

    static void unknown(String version) throws Exception {
        try (Session s = new Session(version)) {
            s.c.sendFrame("PUBLISH\ndestination:/topic/a\n\nx\0");
            s.next(Stomp.Responses.ERROR);
            s.ends();
        }
    }

    static void withoutId(String version) throws Exception {
        try (Session s = new Session(version)) {
            String topic = Report.unique("/topic/no-id");
            s.c.subscribe(topic);
            s.send(topic, "one");
            StompFrame m = s.message();
            Report.equal(m.getBody(), "one", "body");
            Report.equal(m.getHeaders().get("subscription"), null, "subscription");
            s.c.unsubscribe(topic);
            s.send(topic, "two");
            s.silence();
        }
    }
}
