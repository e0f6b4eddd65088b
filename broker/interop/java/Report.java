import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** Runs tests and prints a line of JSON for each, and one with their number at the end. */
final class Report {

    static int counter, tests;

    interface Versioned {
        void run(String version) throws Exception;
    }

    static void each(List<String> versions, String name, Versioned test) {
        for (String v : versions) {
            one(v + ": " + name, v, test);
        }
    }

    static void one(String name, String version, Versioned test) {
        long start = System.nanoTime();
        String error = "";
        try {
            test.run(version);
        } catch (Exception | AssertionError e) {
            error = e + "\n\tat " + Arrays.stream(e.getStackTrace()).limit(8).map(Objects::toString).reduce((a, b) -> a + "\n\tat " + b).orElse("");
        }
        tests++;
        System.out.println("{\"test\":" + quote(name) + ",\"error\":" + quote(error) + ",\"ms\":" + (System.nanoTime() - start) / 1_000_000 + "}");
    }

    static void done() {
        System.out.println("{\"done\":" + tests + "}");
    }

    static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c < ' ' || c == '"' || c == '\\' || c > '~') {
                b.append(String.format("\\u%04x", (int) c));
            } else {
                b.append(c);
            }
        }
        return b.append('"').toString();
    }

    static void equal(Object got, Object want, String what) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError(what + ": got " + got + ", want " + want);
        }
    }

    static String unique(String prefix) {
        return prefix + "-" + ++counter;
    }
}
