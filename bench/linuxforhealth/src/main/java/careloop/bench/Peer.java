package careloop.bench;

import com.sun.management.OperatingSystemMXBean;
import io.github.linuxforhealth.hl7.ConverterOptions;
import io.github.linuxforhealth.hl7.HL7ToFHIRConverter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * LinuxForHealth's converter over a folder of messages: FOLDER OUT.
 *
 * <p>Writes OUT/NAME.json for each message it converts and answers `converted NAME` or `refused NAME`, then `ready`. After that
 * each line of standard input asks for a pass: names separated by blanks, after how many seconds to stop. It converts those
 * messages in a loop and answers how many it converted, and the CPU seconds of the whole process. A Bundle without entries counts
 * as refused. Nothing is validated: that is its default.
 */
public final class Peer {
  private static final ConverterOptions OPTIONS = new ConverterOptions.Builder().build();
  private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private final HL7ToFHIRConverter converter = new HL7ToFHIRConverter();
  private final Path folder;

  private Peer(Path folder) {
    this.folder = folder;
  }

  public static void main(String[] args) throws IOException {
    Peer peer = new Peer(Path.of(args[0]));
    peer.convertAll(Path.of(args[1]));
    BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = asked.readLine(); line != null; line = asked.readLine()) {
      String[] words = line.split(" ");
      peer.pass(Double.parseDouble(words[0]), List.of(words).subList(1, words.length));
    }
  }

  private void convertAll(Path out) throws IOException {
    List<Path> files;
    try (Stream<Path> found = Files.walk(folder)) {
      files = found.filter(f -> f.toString().endsWith(".hl7")).sorted(Comparator.naturalOrder()).toList();
    }
    for (Path file : files) {
      String name = folder.relativize(file).toString().replaceFirst("\\.hl7$", "");
      String bundle = converted(Files.readString(file));
      if (bundle == null) {
        System.out.println("refused " + name);
      } else {
        Files.writeString(out.resolve(file.getFileName().toString().replaceFirst("\\.hl7$", ".json")), bundle);
        System.out.println("converted " + name);
      }
    }
    System.out.println("ready");
  }

  /** The Bundle as JSON, null where the converter refuses the message or leaves the Bundle empty. */
  private String converted(String message) {
    try {
      String bundle = converter.convert(message, OPTIONS);
      return bundle != null && bundle.contains("\"entry\"") ? bundle : null;
    } catch (RuntimeException refused) {
      return null;
    }
  }

  private void pass(double seconds, List<String> names) throws IOException {
    List<String> messages = new ArrayList<>();
    for (String name : names) {
      messages.add(Files.readString(folder.resolve(name + ".hl7")));
    }
    long begun = SYSTEM.getProcessCpuTime();
    long until = begun + (long) (seconds * 1e9);
    long count = 0;
    while (SYSTEM.getProcessCpuTime() < until) {
      for (String message : messages) {
        converted(message);
      }
      count += messages.size();
    }
    System.out.println(count + " " + (SYSTEM.getProcessCpuTime() - begun) / 1e9);
  }
}
