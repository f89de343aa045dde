#include "tools/option_set.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tools/config_file.h"
#include "tools/errors.h"
#include "tools/help_format.h"

namespace sluice::tools {
namespace {

/// A command line with an option of each kind. For one parse.
struct Line {
  Line() {
    app.formatter(make_help_format());
    options.text("data-dir", data_dir, "DIR", "where");
    options.number("groups", groups, {1, 100}, "how many");
    options.size("batch-bytes-max", batch, {4096, 1u << 20}, "largest");
    options.list("peer", peers, "ID=HOST:PORT", "members");
    options.flag("no-pin", no_pin, "leave it");
    options.choice("format", format, {"raw", "json"}, "how");
    options.real("rate", rate, 1000, "per second");
    options.positional("FILE", file, "what");
  }
  void parse(std::vector<std::string> arguments) {
    std::ranges::reverse(arguments);
    app.parse(arguments);
    options.resolve();
  }
  /// What is said about it; empty if nothing.
  std::string mistake(const std::vector<std::string>& arguments) {
    try {
      parse(arguments);
    } catch (const UsageError& error) {
      return error.what();
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }

  std::string data_dir = "default", format = "raw", file;
  std::uint32_t groups = 1;
  std::uint64_t batch = 8192;
  std::vector<std::string> peers;
  bool no_pin = false;
  double rate = 0;
  CLI::App app;
  OptionSet options{app};
};

class OptionSetTest : public testing::Test {
 protected:
  OptionSetTest() {
    char path[] = "/tmp/sluice-options-XXXXXX";
    directory_ = ::mkdtemp(path);
  }
  ~OptionSetTest() override { std::filesystem::remove_all(directory_); }

  std::string write_file(const std::string& text) {
    const std::string path = directory_ + "/c.toml";
    std::ofstream(path) << text;
    return path;
  }
  static std::string mistake(const std::vector<std::string>& arguments) {
    return Line().mistake(arguments);
  }
  std::string mistake_in_file(const std::string& text) {
    return mistake({"--config", write_file(text)});
  }

  std::string directory_;
  Line line_;
};

TEST_F(OptionSetTest, DefaultsStayWithoutArguments) {
  line_.parse({});
  EXPECT_EQ(line_.data_dir, "default");
  EXPECT_EQ(line_.groups, 1u);
  EXPECT_FALSE(line_.options.given("groups"));
}

TEST_F(OptionSetTest, CommandLineFillsEveryKind) {
  line_.parse({"--data-dir", "/d", "--groups=7", "--batch-bytes-max", "64KiB", "--peer", "1=a:1",
               "--peer", "2=b:2,3=c:3", "--no-pin", "--format", "json", "--rate", "2.5", "file"});
  EXPECT_EQ(line_.data_dir, "/d");
  EXPECT_EQ(line_.groups, 7u);
  EXPECT_EQ(line_.batch, 65'536u);
  EXPECT_EQ(line_.peers, (std::vector<std::string>{"1=a:1", "2=b:2", "3=c:3"}));
  EXPECT_TRUE(line_.no_pin);
  EXPECT_EQ(line_.format, "json");
  EXPECT_DOUBLE_EQ(line_.rate, 2.5);
  EXPECT_EQ(line_.file, "file");
  EXPECT_TRUE(line_.options.given("groups"));
}

TEST_F(OptionSetTest, FileFillsEveryKindWithEitherSpelling) {
  line_.parse({"--config", write_file("data_dir = \"/f\"\n"
                                      "groups = 9\n"
                                      "batch-bytes-max = \"64KiB\"\n"
                                      "peers = [\"1=a:1\", \"2=b:2\"]\n"
                                      "no_pin = true\n"
                                      "format = 'json'\n"
                                      "rate = 0.5\n")});
  EXPECT_EQ(line_.data_dir, "/f");
  EXPECT_EQ(line_.groups, 9u);
  EXPECT_EQ(line_.batch, 65'536u);
  EXPECT_EQ(line_.peers, (std::vector<std::string>{"1=a:1", "2=b:2"}));
  EXPECT_TRUE(line_.no_pin);
  EXPECT_EQ(line_.format, "json");
  EXPECT_DOUBLE_EQ(line_.rate, 0.5);
  EXPECT_TRUE(line_.options.given("groups"));
}

TEST_F(OptionSetTest, AListInTheFileIsSplitAtCommasAsOnTheCommandLine) {
  line_.parse({"--config", write_file("peer = \"1=a:1,2=b:2,\"\n")});
  EXPECT_EQ(line_.peers, (std::vector<std::string>{"1=a:1", "2=b:2"}));
  Line elements, text;
  elements.parse({"--config", write_file("peers = [\"1=a:1,2=b:2\", \"3=c:3\"]\n")});
  EXPECT_EQ(elements.peers, (std::vector<std::string>{"1=a:1", "2=b:2", "3=c:3"}));
  text.parse({"--config", write_file("data_dir = \"/a,b\"\n")});  // no list
  EXPECT_EQ(text.data_dir, "/a,b");
}

TEST_F(OptionSetTest, PeersMayBeATable) {
  line_.parse({"--config", write_file("[peers]\n1 = \"a:1\"\n2 = \"b:2\"\n")});
  EXPECT_EQ(line_.peers, (std::vector<std::string>{"1=a:1", "2=b:2"}));
}

TEST_F(OptionSetTest, ATableOfACommandIsForThatCommandAlone) {
  const std::string path = write_file(
      "groups = 5\n"
      "batch_bytes_max = \"64KiB\"\n"
      "[serve]\n"
      "groups = 7\n"
      "peers = [\"1=a:1\", \"2=b:2\"]\n"
      "[bench]\n"
      "outstanding = 256\n"
      "nodes = 3\n");
  CLI::App all;
  CLI::App* const serve = all.add_subcommand("serve");
  CLI::App* const bench = all.add_subcommand("bench");
  std::uint32_t serve_groups = 1, bench_groups = 1, outstanding = 1, nodes = 1;
  std::uint64_t serve_batch = 0, bench_batch = 0;
  std::vector<std::string> peers;
  OptionSet serve_options(*serve), bench_options(*bench);
  serve_options.number("groups", serve_groups, {1, 100}, "");
  serve_options.size("batch-bytes-max", serve_batch, {}, "");
  serve_options.list("peer", peers, "ID=HOST:PORT", "");
  bench_options.number("groups", bench_groups, {1, 100}, "");
  bench_options.size("batch-bytes-max", bench_batch, {}, "");
  bench_options.number("outstanding", outstanding, {}, "");
  bench_options.number("nodes", nodes, {}, "");
  all.parse(std::vector<std::string>{path, "--config", "serve"});  // CLI11 takes them reversed
  serve_options.resolve();
  all.parse(std::vector<std::string>{path, "--config", "bench"});
  bench_options.resolve();
  EXPECT_EQ(serve_groups, 7u);
  EXPECT_EQ(bench_groups, 5u);
  EXPECT_EQ(serve_batch, 65'536u);
  EXPECT_EQ(bench_batch, 65'536u);
  EXPECT_EQ(peers, (std::vector<std::string>{"1=a:1", "2=b:2"}));
  EXPECT_EQ(outstanding, 256u);
  EXPECT_EQ(nodes, 3u);
}

TEST_F(OptionSetTest, ATableOfNobodyIsAMistake) {
  EXPECT_NE(mistake_in_file("[serf]\ngroups = 7\n").find("serf"), std::string::npos);
}

TEST_F(OptionSetTest, CommandLineIsStrongerThanTheFile) {
  line_.parse({"--groups", "3", "--peer", "9=z:9", "--config",
               write_file("groups = 5\ndata_dir = \"/f\"\npeers = [\"1=a:1\"]\n")});
  EXPECT_EQ(line_.groups, 3u);
  EXPECT_EQ(line_.data_dir, "/f");
  EXPECT_EQ(line_.peers, (std::vector<std::string>{"9=z:9"}));
}

TEST_F(OptionSetTest, AnUnknownKeyIsNamedWithItsLine) {
  const std::string what = mistake_in_file("groups = 2\n\ngruops = 3\n");
  EXPECT_NE(what.find("line 3"), std::string::npos) << what;
  EXPECT_NE(what.find("gruops"), std::string::npos) << what;
}

TEST_F(OptionSetTest, BadValuesInTheFileAreNamedWithTheirLine) {
  EXPECT_NE(mistake_in_file("\ngroups = 101\n").find("line 2: groups"), std::string::npos);
  EXPECT_NE(mistake_in_file("groups = [1, 2]\n").find("not a list"), std::string::npos);
  EXPECT_NE(mistake_in_file("no_pin = \"yes\"\n").find("true or false"), std::string::npos);
  EXPECT_NE(mistake_in_file("groups = true\n").find("groups"), std::string::npos);
  EXPECT_NE(mistake_in_file("peers = [[1]]\n").find("plain values"), std::string::npos);
  EXPECT_NE(mistake_in_file("peers = []\n").find("empty"), std::string::npos);
  EXPECT_NE(mistake_in_file("groups = \n").find("line 1"), std::string::npos);
  EXPECT_NE(mistake_in_file("config = \"other\"\n").find("config"), std::string::npos);
  EXPECT_NE(mistake({"--config", directory_ + "/none"}).find("cannot read"), std::string::npos);
}

TEST_F(OptionSetTest, BadValuesOnTheCommandLineAreNamed) {
  EXPECT_NE(mistake({"--groups", "0"}).find("--groups: 0 is out of range: choose 1 to 100"),
            std::string::npos);
  EXPECT_NE(mistake({"--groups", "many"}).find("whole number"), std::string::npos);
  EXPECT_NE(mistake({"--batch-bytes-max", "1XiB"}).find("64KiB"), std::string::npos);
  EXPECT_NE(mistake({"--batch-bytes-max", "2MiB"}).find("4KiB to 1MiB"), std::string::npos);
  EXPECT_NE(mistake({"--format", "xml"}).find("raw, json"), std::string::npos);
  EXPECT_NE(mistake({"--rate", "fast"}).find("number"), std::string::npos);
  EXPECT_NE(mistake({"--rate", "-1"}), "");
  EXPECT_NE(mistake({"--rate", "nan"}), "");
  EXPECT_NE(mistake({"--unknown"}), "");
}

TEST_F(OptionSetTest, ARequiredOptionMayComeFromTheFile) {
  line_.options.require("data-dir");
  EXPECT_NE(line_.mistake({}).find("--data-dir is missing"), std::string::npos);
  Line other;
  other.options.require("data-dir");
  EXPECT_EQ(other.mistake({"--config", write_file("data_dir = \"x\"\n")}), "");
}

TEST_F(OptionSetTest, HiddenOptionsAreNeitherInHelpNorInTheFile) {
  line_.options.hide("groups");
  EXPECT_EQ(line_.app.help().find("--groups"), std::string::npos);
  const std::string what = line_.mistake({"--config", write_file("groups = 2\n")});
  EXPECT_NE(what.find("no such option"), std::string::npos) << what;
}

TEST_F(OptionSetTest, HelpNamesDefaultsRangesAndFitsATerminal) {
  const std::string help = line_.app.help();
  EXPECT_NE(help.find("--groups N"), std::string::npos) << help;
  EXPECT_NE(help.find("default 1, 1 to 100"), std::string::npos) << help;
  EXPECT_NE(help.find("default 8KiB, 4KiB to 1MiB"), std::string::npos) << help;
  EXPECT_NE(help.find("--config FILE"), std::string::npos) << help;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

}  // namespace
}  // namespace sluice::tools
