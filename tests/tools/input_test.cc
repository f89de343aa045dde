#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tools/input_reader.h"
#include "tools/output_writer.h"

namespace sluice::tools {
namespace {

/// Cuts `text`, handed over in pieces of `piece` bytes, into lines; "!" stands for one too long.
std::vector<std::string> split(const std::string& text, std::size_t piece, std::size_t max) {
  LineSplitter splitter(max);
  std::vector<std::string> lines;
  LineSplitter::Line line;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    splitter.buffer() += text.substr(at, piece);
    while (splitter.next(line, false))
      lines.push_back(line.too_long ? "!" : std::string(line.text));
  }
  while (splitter.next(line, true)) lines.push_back(line.too_long ? "!" : std::string(line.text));
  return lines;
}

TEST(LineSplitter, LinesComeWholeHoweverTheTextArrives) {
  const std::string text = "one\n\nthree is longer\nfour\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece)
    EXPECT_EQ(split(text, piece, 100),
              (std::vector<std::string>{"one", "", "three is longer", "four"}))
        << piece;
}

TEST(LineSplitter, TheLastLineNeedsNoNewline) {
  EXPECT_EQ(split("a\nb", 1, 100), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(split("a\n", 1, 100), (std::vector<std::string>{"a"}));
  EXPECT_EQ(split("", 1, 100), (std::vector<std::string>{}));
  EXPECT_EQ(split("\n", 1, 100), (std::vector<std::string>{""}));
}

TEST(LineSplitter, ALineAboveTheBoundIsToldAndTheNextOnesGoOn) {
  for (std::size_t piece = 1; piece <= 20; ++piece) {
    EXPECT_EQ(split("12345\n123456\n1234567890123\nab\n", piece, 5),
              (std::vector<std::string>{"12345", "!", "!", "ab"}))
        << piece;
    EXPECT_EQ(split("ab\n123456", piece, 5), (std::vector<std::string>{"ab", "!"})) << piece;
  }
}

TEST(LineSplitter, AnOverlongLineDoesNotPileUp) {
  LineSplitter splitter(1000);
  LineSplitter::Line line;
  for (int i = 0; i < 1000; ++i) {
    splitter.buffer() += std::string(1000, 'x');
    EXPECT_FALSE(splitter.next(line, false));
    EXPECT_LE(splitter.buffer().size(), 3000u);
  }
  splitter.buffer() += "\nab\n";
  ASSERT_TRUE(splitter.next(line, false));
  EXPECT_TRUE(line.too_long);
  ASSERT_TRUE(splitter.next(line, false));
  EXPECT_EQ(line.text, "ab");
}

TEST(InputReader, ReadsAPipeToItsEndWithinItsBuffer) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::string sent;
  for (int i = 0; i < 100'000; ++i) sent += std::to_string(i) + "\n";
  std::thread writer([&] {
    for (std::size_t at = 0; at < sent.size();) {
      const ssize_t size =
          ::write(ends[1], sent.data() + at, std::min<std::size_t>(7000, sent.size() - at));
      if (size > 0) at += static_cast<std::size_t>(size);
    }
    ::close(ends[1]);
  });
  std::atomic<std::uint32_t> news = 0;
  std::string got;
  {
    InputReader reader(
        ends[0],
        [&] {
          ++news;
          news.notify_one();
        },
        10'000);
    for (std::uint32_t seen = 0; reader.take(got); seen = news) news.wait(seen);
    EXPECT_EQ(reader.error(), 0);
  }
  writer.join();
  ::close(ends[0]);
  EXPECT_TRUE(got == sent);
}

// A caller that waits for another call of on_data before it believes in the end waits for ever.
TEST(InputReader, SaysThatItWasAllWithTheLastBytes) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "no newline", 10), 10);
  ::close(ends[1]);
  std::atomic<std::uint32_t> news = 0;
  std::string got;
  {
    InputReader reader(ends[0], [&] {
      ++news;
      news.notify_one();
    });
    for (std::uint32_t seen = 0; seen < 2; seen = news) news.wait(seen);  // the bytes, the end
    EXPECT_FALSE(reader.take(got));
  }
  ::close(ends[0]);
  EXPECT_EQ(got, "no newline");
}

TEST(InputReader, EndsWhileItWaitsForInput) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    const InputReader reader(ends[0], [] {});
  }  // returns: the thread was woken
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(OutputWriter, WritesInOrderAndDrains) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::string got;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t size = 0; (size = ::read(ends[0], buffer, sizeof buffer)) > 0;)
      got.append(buffer, static_cast<std::size_t>(size));
  });
  std::string sent;
  {
    OutputWriter output(ends[1], [] {});
    for (int i = 0; i < 50'000; ++i) {
      const std::string line = std::to_string(i) + "\n";
      output.write(line);
      sent += line;
      if (i % 100 == 0) output.flush();
    }
    output.drain();
    EXPECT_EQ(output.pending_bytes(), 0u);
    EXPECT_EQ(output.error(), 0);
  }
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  EXPECT_TRUE(got == sent);
}

// Whoever shares the pipe or the terminal may have set it so.
TEST(OutputWriter, AFileThatDoesNotBlockIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  const std::string sent(4u << 20, 'x');  // many times what a pipe holds
  std::string got;
  {
    OutputWriter output(ends[1], [] {});
    output.write(sent);
    output.flush();
    std::string buffer(64u << 10, '\0');
    while (got.size() < sent.size() && output.error() == 0) {
      pollfd readable{ends[0], POLLIN, 0};
      if (::poll(&readable, 1, 10) <= 0) continue;
      const ssize_t size = ::read(ends[0], buffer.data(), buffer.size());
      if (size > 0) got.append(buffer, 0, static_cast<std::size_t>(size));
    }
    output.drain();
    EXPECT_EQ(output.error(), 0);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_TRUE(got == sent);
}

TEST(OutputWriter, AReaderThatLeavesIsAnErrorNotADeath) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::signal(SIGPIPE, SIG_IGN);
  ::close(ends[0]);
  {
    OutputWriter output(ends[1], [] {});
    output.write("x\n");
    output.drain();
    EXPECT_EQ(output.error(), EPIPE);
    output.write("y\n");
    output.drain();
  }
  ::close(ends[1]);
}

}  // namespace
}  // namespace sluice::tools
