import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's shell tools one after the other in one JVM, which takes a second or two to start each.
 * A command comes on the standard input as a count of texts and the texts: the main class, what the tool
 * reads, its arguments. The answer is its exit code, its output and its errors.
 */
public class ToolRunner {
    /** What a tool leaves for the end of its JVM. */
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    private static class Ended extends RuntimeException {
        final int code;

        Ended(int code) {
            super(null, null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] none) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(System.out);
        Exit.setExitProcedure((code, message) -> { throw new Ended(code); });
        Exit.setHaltProcedure((code, message) -> { throw new Ended(code); });
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        while (true) {
            int count = in.readInt();
            String[] texts = new String[count];
            for (int i = 0; i < count; i++) texts[i] = in.readUTF();
            ByteArrayOutputStream said = new ByteArrayOutputStream(), complained = new ByteArrayOutputStream();
            int code = run(texts, new PrintStream(said, true), new PrintStream(complained, true));
            out.writeInt(code);
            for (ByteArrayOutputStream one : new ByteArrayOutputStream[] {said, complained}) {
                out.writeInt(one.size());
                one.writeTo(out);
            }
            out.flush();
        }
    }

    private static int run(String[] texts, PrintStream said, PrintStream complained) {
        InputStream stdin = System.in;
        PrintStream stdout = System.out, stderr = System.err;
        int[] code = {0};
        Thread tool = new Thread(() -> code[0] = call(texts));
        try {
            System.setIn(new ByteArrayInputStream(texts[1].getBytes("UTF-8")));
            System.setOut(said);
            System.setErr(complained);
            tool.setDaemon(true);
            tool.start();
            tool.join(40000);
            if (texts[0].contains("Verifiable")) Thread.sleep(1000); // its answers come behind its end
            HOOKS.forEach(Runnable::run);
            return tool.isAlive() ? -1 : code[0];
        } catch (Exception error) {
            return -2;
        } finally {
            HOOKS.clear();
            System.setIn(stdin);
            System.setOut(stdout);
            System.setErr(stderr);
        }
    }

    private static int call(String[] texts) {
        String[] args = java.util.Arrays.copyOfRange(texts, 2, texts.length);
        try {
            Class.forName(texts[0]).getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause();
            while (cause != null && !(cause instanceof Ended)) cause = cause.getCause();
            if (cause instanceof Ended) return ((Ended) cause).code;
            System.err.println(error.getCause());
            return 1;
        } catch (Throwable error) {
            System.err.println(error);
            return 1;
        }
    }
}
