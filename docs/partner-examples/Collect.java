// Collects operations, applies each once, and acknowledges it. Needs Java 11 or newer, and no library.
//
// DESK=https://desk.example.com TOKEN=... java Collect.java
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

public class Collect {
    static final String OUTBOX = System.getenv("DESK") + "/api/v1/outbox/";
    static final HttpClient DESK = HttpClient.newHttpClient();
    // The ids that were applied, with our record's id. A real desk keeps this in its database.
    static final Map<String, String> RECORDS = new HashMap<>();

    public static void main(String[] arguments) throws InterruptedException {
        String cursor = "";
        while (true) {
            try {
                cursor = collect(cursor);
            } catch (IOException failure) {
                System.out.println("Trying again: " + failure.getMessage());
                cursor = ""; // begins as a new reader, in case the cursor is not known any more
                Thread.sleep(5_000);
            }
        }
    }

    /** Collects and acknowledges once. Returns the next cursor. */
    static String collect(String cursor) throws IOException, InterruptedException {
        Map<?, ?> said = call(request("?wait=30&after=" + URLEncoder.encode(cursor, UTF_8)).build());
        List<String> done = new ArrayList<>();
        for (Object operation : (List<?>) said.get("results")) {
            String id = (String) ((Map<?, ?>) operation).get("id");
            String record = RECORDS.computeIfAbsent(id, one -> apply((Map<?, ?>) operation));
            done.add("{\"id\": \"" + id + "\", \"external_id\": \"" + record + "\"}");
        }
        if (!done.isEmpty()) {
            String body = "{\"operations\": [" + String.join(", ", done) + "]}";
            HttpRequest.Builder acknowledge = request("acknowledge/").header("Content-Type", "application/json");
            Map<?, ?> answer = call(acknowledge.POST(BodyPublishers.ofString(body)).build());
            for (Object one : (List<?>) answer.get("results")) {
                if (((Map<?, ?>) one).containsKey("error")) System.out.println("Not acknowledged: " + one);
            }
        }
        return said.get("cursor") == null ? "" : (String) said.get("cursor");
    }

    static String apply(Map<?, ?> operation) {
        Map<?, ?> change = (Map<?, ?>) operation.get("change");
        Object number = change.get("number");
        System.out.println(
            operation.get("operation") + " " + operation.get("sequence") + " " + number + " " + change.get("title"));
        return "D-" + number;
    }

    static HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(OUTBOX + path))
            .header("Authorization", "Bearer " + System.getenv("TOKEN"))
            .timeout(Duration.ofSeconds(60));
    }

    static Map<?, ?> call(HttpRequest request) throws IOException, InterruptedException {
        HttpResponse<String> answer = DESK.send(request, BodyHandlers.ofString(UTF_8));
        if (answer.statusCode() == 401 || answer.statusCode() == 403) {
            System.err.println("Ask the service desk: " + answer.body());
            System.exit(1);
        }
        if (answer.statusCode() != 200) throw new IOException(answer.body());
        return (Map<?, ?>) new Json(answer.body()).value();
    }

    /** Reads JSON, so that this program needs nothing but Java. Your desk has a library for it: use that. */
    static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        /** An object is a Map, a list a List; a text, a number, true and false are a String. */
        Object value() {
            char first = peek();
            if (first == '"') return string();
            if (first == '{') return object();
            if (first == '[') return list();
            int begin = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(begin, at);
            return word.equals("null") ? null : word;
        }

        private Map<String, Object> object() {
            Map<String, Object> members = new HashMap<>();
            at++;
            while (peek() != '}') {
                String name = string();
                if (peek() == ':') at++;
                members.put(name, value());
                if (peek() == ',') at++;
            }
            at++;
            return members;
        }

        private List<Object> list() {
            List<Object> values = new ArrayList<>();
            at++;
            while (peek() != ']') {
                values.add(value());
                if (peek() == ',') at++;
            }
            at++;
            return values;
        }

        private String string() {
            StringBuilder read = new StringBuilder();
            for (at++; text.charAt(at) != '"'; at++) {
                char character = text.charAt(at);
                if (character == '\\') {
                    character = text.charAt(++at);
                    int control = "bfnrt".indexOf(character);
                    if (control >= 0) character = "\b\f\n\r\t".charAt(control);
                    if (character == 'u') {
                        character = (char) Integer.parseInt(text.substring(at + 1, at + 5), 16);
                        at += 4;
                    }
                }
                read.append(character);
            }
            at++;
            return read.toString();
        }

        private char peek() {
            while (Character.isWhitespace(text.charAt(at))) at++;
            return text.charAt(at);
        }
    }
}
