// Receives operations, checks their signature, and applies each once. Needs Java 11 or newer, and no library.
//
// SIGNING_SECRET=whsec_... PORT=9333 java Receive.java
import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receive {
    static final byte[] KEY = Base64.getDecoder().decode(System.getenv("SIGNING_SECRET").replaceFirst("^whsec_", ""));
    // What was answered to each id. A real desk keeps this in its database.
    static final Map<String, String> ANSWERS = new HashMap<>();

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9333"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", Receive::receive);
        server.start();
    }

    static void receive(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        if (!isGenuine(exchange.getRequestHeaders(), body)) {
            answer(exchange, 401, "{\"detail\": \"The signature is wrong, or too old.\"}");
            return;
        }
        Map<?, ?> message = (Map<?, ?>) new Json(new String(body, UTF_8)).value();
        answer(exchange, 200, ANSWERS.computeIfAbsent((String) message.get("id"), id -> apply(message)));
    }

    static boolean isGenuine(Headers headers, byte[] body) {
        try {
            String id = headers.getFirst("webhook-id");
            String timestamp = headers.getFirst("webhook-timestamp");
            String signatures = headers.getFirst("webhook-signature");
            if (id == null || timestamp == null || signatures == null) return false;
            if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > 300) return false;
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
            mac.update((id + "." + timestamp + ".").getBytes(UTF_8));
            byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(UTF_8);
            for (String signature : signatures.split(" ")) { // two while the secret is being replaced
                if (MessageDigest.isEqual(signature.getBytes(UTF_8), expected)) return true;
            }
            return false;
        } catch (NumberFormatException wrong) {
            return false;
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    static String apply(Map<?, ?> message) {
        Map<?, ?> change = (Map<?, ?>) message.get("change");
        Object number = change.get("number");
        System.out.println(
            message.get("operation") + " " + message.get("sequence") + " " + number + " " + change.get("title"));
        return "{\"external_id\": \"D-" + number + "\", \"external_status\": \"Received\"}";
    }

    static void answer(HttpExchange exchange, int status, String content) throws IOException {
        byte[] body = content.getBytes(UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
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
