package careloop.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.cqframework.cql.cql2elm.CqlTranslator;

import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.ModelManager;
import org.cqframework.cql.cql2elm.quick.FhirLibrarySourceProvider;

/** Translate CQL OUT: writes OUT/gaps.json and OUT/FHIRHelpers.json, both ELM. */
public final class Translate {
  private Translate() {}

  public static void main(String[] args) throws IOException {
    Path out = Path.of(args[1]);
    Files.writeString(out.resolve("gaps.json"), elm(Files.newInputStream(Path.of(args[0]))));
    InputStream helpers = FhirLibrarySourceProvider.class.getResourceAsStream("/org/hl7/fhir/FHIRHelpers-4.0.1.cql");
    Files.writeString(out.resolve("FHIRHelpers.json"), elm(helpers));
  }

  private static String elm(InputStream cql) throws IOException {
    ModelManager models = new ModelManager();
    LibraryManager libraries = new LibraryManager(models);
    libraries.getLibrarySourceLoader().registerProvider(new FhirLibrarySourceProvider());
    try (cql) {
      CqlTranslator translator = CqlTranslator.fromStream(cql, models, libraries);
      if (!translator.getErrors().isEmpty()) {
        translator.getErrors().forEach(one -> System.err.println(one.getLocator().toLocator() + " " + one.getMessage()));
        System.exit(1);
      }
      return translator.toJson();
    }
  }
}
