// The model of a disk: what it may lose it loses sometimes, what it may not lose it never loses. A
// model that is too kind finds nothing, one that is too cruel blames the innocent.
#include "tests/sim/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>

namespace sluice::sim {
namespace {

using Bytes = std::vector<std::byte>;
constexpr std::size_t kPage = Disk::kPageBytes;
constexpr std::size_t kSector = Disk::kSectorBytes;
constexpr std::uint32_t kAlways = 1'000'000;
constexpr std::uint64_t kSeeds = 300;

/// Bytes that differ from those of every other tag at each position, and from zero.
Bytes pattern(std::uint8_t tag, std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) {
    bytes[i] = static_cast<std::byte>((tag << 4) | ((i * 7 + i / kSector) & 0x0F));
  }
  return bytes;
}

/// A disk with short words.
struct Bench {
  explicit Bench(std::uint64_t seed) : disk(Random(seed, "disk test")) {}

  Disk::FileId open(const std::string& path) {
    const std::int32_t file = disk.open(path, {.create = true});
    EXPECT_GE(file, 0) << path;
    return static_cast<Disk::FileId>(file);
  }
  Disk::FileId directory(const std::string& path) {
    const std::int32_t file = disk.open(path, {.directory = true});
    EXPECT_GE(file, 0) << path;
    return static_cast<Disk::FileId>(file);
  }
  std::int32_t sync(Disk::FileId file) { return disk.end_sync(disk.begin_sync(file)); }
  void sync_names(const std::string& path = "/") {
    const Disk::FileId file = directory(path);
    EXPECT_EQ(sync(file), 0);
    disk.close(file);
  }
  std::int32_t write(Disk::FileId file, const Bytes& bytes, std::uint64_t offset, bool durable) {
    return disk.end_write(disk.begin_write(file, bytes, offset, durable), nullptr);
  }
  /// A file whose name and `pages` pages of tag 0xA are durable.
  Disk::FileId durable_file(const std::string& path, std::size_t pages) {
    const Disk::FileId file = open(path);
    sync_names();
    EXPECT_EQ(write(file, pattern(0xA, pages * kPage), 0, true),
              static_cast<std::int32_t>(pages * kPage));
    return file;
  }
  Bytes sector(const std::string& path, std::size_t number) const {
    return disk.peek(path, number * kSector, kSector);
  }
  Bytes all(const std::string& path) const {
    return disk.peek(path, 0, disk.size(path).value_or(0));
  }

  Disk disk;
};

enum class Fate { kKept, kLost, kTorn, kZeroed, kNone };

/// What became of a sector that held `before` durably and `after` in the cache.
Fate fate_of(const Bytes& left, std::span<const std::byte> before,
             std::span<const std::byte> after) {
  if (std::ranges::equal(left, after)) return Fate::kKept;
  if (std::ranges::equal(left, before)) return Fate::kLost;
  if (std::ranges::all_of(left, [](std::byte b) { return b == std::byte{0}; })) {
    return Fate::kZeroed;
  }
  const auto torn = static_cast<std::size_t>(
      std::ranges::mismatch(left, after).in1 - left.begin());
  if (torn > 0 && std::ranges::equal(std::span(left).subspan(torn), before.subspan(torn))) {
    return Fate::kTorn;
  }
  return Fate::kNone;
}

Fate fate_of(const Bench& bench, const std::string& path, std::size_t sector, std::uint8_t before,
             std::uint8_t after, std::size_t size_bytes) {
  const Bytes was = pattern(before, size_bytes), is = pattern(after, size_bytes);
  const std::size_t at = sector * kSector;
  return fate_of(bench.sector(path, sector), std::span(was).subspan(at, kSector),
                 std::span(is).subspan(at, kSector));
}

// --- a power failure ---------------------------------------------------------------------------

TEST(SimDisk, EachUnsyncedSectorIsKeptLostTornOrZeroedOnItsOwn) {
  std::map<Fate, int> fates;
  bool mixed = false;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 4);
    b.write(file, pattern(0xB, 4 * kPage), 0, false);
    b.disk.crash();
    std::set<Fate> here;
    for (std::size_t i = 0; i < 4 * kPage / kSector; ++i) {
      const Fate fate = fate_of(b, "/f", i, 0xA, 0xB, 4 * kPage);
      ASSERT_NE(fate, Fate::kNone) << "seed " << seed << " sector " << i;
      ++fates[fate];
      here.insert(fate);
    }
    mixed = mixed || here.size() == 4;
  }
  EXPECT_GT(fates[Fate::kKept], 0);
  EXPECT_GT(fates[Fate::kLost], 0);
  EXPECT_GT(fates[Fate::kTorn], 0);
  EXPECT_GT(fates[Fate::kZeroed], 0);
  EXPECT_TRUE(mixed) << "one power failure, all four fates";
}

TEST(SimDisk, WhatIsDurableNeverChanges) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 3);
    b.write(file, pattern(0xB, kPage), kPage, false);  // between two that stay
    const Bytes before = b.all("/f");
    b.disk.crash();
    const Bytes after = b.all("/f");
    ASSERT_EQ(after.size(), 3 * kPage);
    EXPECT_TRUE(std::equal(after.begin(), after.begin() + kPage, before.begin())) << seed;
    EXPECT_TRUE(std::equal(after.begin() + 2 * kPage, after.end(), before.begin() + 2 * kPage));
    b.disk.crash();
    EXPECT_EQ(b.all("/f"), after) << "what a power failure left is durable";
  }
}

TEST(SimDisk, AFileGrowsDurablyOrToAnyLengthBetween) {
  std::set<std::uint64_t> sizes;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 1);
    b.write(file, pattern(0xB, 2 * kPage), kPage, false);
    b.disk.crash();
    const auto size = b.disk.size("/f");
    ASSERT_TRUE(size);
    ASSERT_GE(*size, kPage);
    ASSERT_LE(*size, 3 * kPage);
    EXPECT_EQ(b.disk.pages_in_use(), (*size + kPage - 1) / kPage);
    sizes.insert(*size);
  }
  EXPECT_TRUE(sizes.contains(3 * kPage));
  EXPECT_GT(sizes.size(), 10u);
}

TEST(SimDisk, AWriteOnItsWayAtAPowerFailureLeavesAnyOfIt) {
  for (const bool durable : {false, true}) {
    std::set<Fate> fates;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      Bench b(seed);
      const auto file = b.durable_file("/f", 2);
      const Bytes bytes = pattern(0xB, 2 * kPage);
      const auto write = b.disk.begin_write(file, bytes, 0, durable);
      EXPECT_TRUE(b.disk.has_write(write));
      EXPECT_EQ(fate_of(b, "/f", 0, 0xA, 0xB, 2 * kPage), Fate::kLost) << "not complete yet";
      b.disk.crash();
      EXPECT_FALSE(b.disk.has_write(write));
      EXPECT_EQ(b.disk.files_open(), 0u);
      for (std::size_t i = 0; i < 2 * kPage / kSector; ++i) {
        const Fate fate = fate_of(b, "/f", i, 0xA, 0xB, 2 * kPage);
        ASSERT_NE(fate, Fate::kNone);
        fates.insert(fate);
      }
    }
    EXPECT_EQ(fates.size(), 4u) << (durable ? "durable" : "buffered");
  }
}

// --- names -------------------------------------------------------------------------------------

TEST(SimDisk, NamesThatAreNotSyncedVanishIndependently) {
  std::set<std::vector<std::string>> left;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    for (const char* path : {"/a", "/b", "/c"}) b.write(b.open(path), pattern(0xA, kPage), 0, true);
    b.disk.crash();
    auto names = b.disk.list("/");
    ASSERT_TRUE(names);
    std::ranges::sort(*names);
    left.insert(*names);
  }
  EXPECT_EQ(left.size(), 8u) << "every subset of three names";
}

TEST(SimDisk, ARenameIsOneChange) {
  std::set<std::string> left;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    b.durable_file("/old", 1);
    ASSERT_EQ(b.disk.rename("/old", "/new"), 0);
    EXPECT_FALSE(b.disk.is_durable("/new", 0, kPage));
    EXPECT_FALSE(b.disk.is_durable("/old", 0, kPage));
    b.disk.crash();
    const auto names = b.disk.list("/");
    ASSERT_EQ(names->size(), 1u) << "seed " << seed;
    left.insert(names->front());
    EXPECT_EQ(b.all("/" + names->front()), pattern(0xA, kPage));
  }
  EXPECT_EQ(left, (std::set<std::string>{"old", "new"}));
}

TEST(SimDisk, AnUnlinkedFileMayComeBackUntilItsDirectoryIsSynced) {
  std::set<bool> back;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    b.disk.close(b.durable_file("/f", 1));
    ASSERT_EQ(b.disk.unlink("/f"), 0);
    EXPECT_EQ(b.disk.size("/f"), std::nullopt);
    EXPECT_EQ(b.disk.pages_in_use(), 1u) << "its blocks are freed with its durable name";
    b.disk.crash();
    back.insert(b.disk.size("/f").has_value());
    if (b.disk.size("/f")) {
      EXPECT_EQ(b.all("/f"), pattern(0xA, kPage));
    }
  }
  EXPECT_EQ(back.size(), 2u);

  Bench b(1);
  b.disk.close(b.durable_file("/f", 1));
  ASSERT_EQ(b.disk.unlink("/f"), 0);
  b.sync_names();
  EXPECT_EQ(b.disk.pages_in_use(), 0u);
  b.disk.crash();
  EXPECT_EQ(b.disk.size("/f"), std::nullopt);
}

TEST(SimDisk, ASyncOfADirectoryCoversWhatChangedBeforeItBegan) {
  std::set<bool> late;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto root = b.directory("/");
    b.open("/a");
    const auto first = b.disk.begin_sync(root);
    b.open("/b");
    const auto second = b.disk.begin_sync(root);
    b.open("/c");
    // They end in the other order: neither counts the other's names twice.
    EXPECT_EQ(b.disk.end_sync(second), 0);
    b.open("/d");
    EXPECT_EQ(b.disk.end_sync(first), 0);
    b.disk.crash();
    EXPECT_TRUE(b.disk.size("/a") && b.disk.size("/b")) << "seed " << seed;
    late.insert(b.disk.size("/c").has_value());
  }
  EXPECT_EQ(late.size(), 2u);
}

TEST(SimDisk, WhatLiesInADirectoryIsLostWithItsName) {
  std::set<bool> there;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    ASSERT_EQ(b.disk.make_directory("/d"), 0);
    b.write(b.open("/d/f"), pattern(0xA, kPage), 0, true);
    b.sync_names("/d");
    b.disk.crash();
    EXPECT_EQ(b.disk.size("/d").has_value(), b.disk.size("/d/f").has_value()) << "seed " << seed;
    there.insert(b.disk.size("/d").has_value());
  }
  EXPECT_EQ(there.size(), 2u);
}

TEST(SimDisk, NamesAnswerAsTheKernelDoes) {
  Bench b(1);
  EXPECT_EQ(b.disk.open("/f", {}), -ENOENT);
  EXPECT_EQ(b.disk.open("/none/f", {.create = true}), -ENOENT);
  b.open("/f");
  EXPECT_EQ(b.disk.open("/f", {.create = true, .exclusive = true}), -EEXIST);
  EXPECT_EQ(b.disk.open("/f", {.directory = true}), -ENOTDIR);
  EXPECT_EQ(b.disk.make_directory("/f"), -EEXIST);
  EXPECT_EQ(b.disk.rename("/none", "/g"), -ENOENT);
  EXPECT_EQ(b.disk.unlink("/none"), -ENOENT);
  EXPECT_EQ(b.disk.list("/none"), std::nullopt);
  EXPECT_EQ(b.disk.make_directory("/d"), 0);
  EXPECT_EQ(b.disk.make_directory("/d"), 0);
  b.open("/d/inner");
  EXPECT_EQ(b.disk.list("/")->size(), 2u) << "not what lies deeper";
  // A rename replaces.
  b.write(b.open("/g"), pattern(0xB, kPage), 0, false);
  EXPECT_EQ(b.disk.rename("/g", "/f"), 0);
  EXPECT_EQ(b.all("/f"), pattern(0xB, kPage));
}

// --- sync --------------------------------------------------------------------------------------

TEST(SimDisk, ASyncCoversWhatCompletedBeforeItBeganAndNothingLater) {
  std::set<Fate> later, on_its_way;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 3);
    const Bytes bytes = pattern(0xB, 3 * kPage);
    const auto part = [&](std::size_t page) {
      return std::span(bytes).subspan(page * kPage, kPage);
    };
    const auto write = [&](std::size_t page) {
      return b.disk.begin_write(file, part(page), page * kPage, false);
    };
    (void)b.disk.end_write(write(0), nullptr);
    const auto pending = write(1);
    const auto sync = b.disk.begin_sync(file);
    (void)b.disk.end_write(pending, nullptr);
    (void)b.disk.end_write(write(2), nullptr);
    ASSERT_EQ(b.disk.end_sync(sync), 0);
    EXPECT_TRUE(b.disk.is_durable("/f", 0, kPage));
    EXPECT_FALSE(b.disk.is_durable("/f", kPage, kPage));
    EXPECT_FALSE(b.disk.is_durable("/f", 2 * kPage, kPage));
    b.disk.crash();
    for (std::size_t i = 0; i < kPage / kSector; ++i) {
      ASSERT_EQ(fate_of(b, "/f", i, 0xA, 0xB, 3 * kPage), Fate::kKept) << "seed " << seed;
      on_its_way.insert(fate_of(b, "/f", i + kPage / kSector, 0xA, 0xB, 3 * kPage));
      later.insert(fate_of(b, "/f", i + 2 * kPage / kSector, 0xA, 0xB, 3 * kPage));
    }
  }
  EXPECT_TRUE(later.contains(Fate::kLost) && later.contains(Fate::kKept));
  EXPECT_TRUE(on_its_way.contains(Fate::kLost) && on_its_way.contains(Fate::kKept));
}

TEST(SimDisk, ADurableWriteDuringASyncIsNotTakenBack) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 1);
    b.write(file, pattern(0xB, kPage), 0, false);
    const auto sync = b.disk.begin_sync(file);
    b.write(file, pattern(0xC, kPage), 0, true);
    ASSERT_EQ(b.disk.end_sync(sync), 0);
    EXPECT_TRUE(b.disk.is_durable("/f", 0, kPage));
    b.disk.crash();
    ASSERT_EQ(b.all("/f"), pattern(0xC, kPage)) << "seed " << seed;
  }
}

TEST(SimDisk, DurableZerosDuringASyncAreNotTakenBackEither) {
  Bench b(1);
  const auto file = b.open("/f");
  b.sync_names();
  b.write(file, pattern(0xB, kPage), 0, false);
  const auto sync = b.disk.begin_sync(file);
  b.write(file, Bytes(kPage), 0, true);
  ASSERT_EQ(b.disk.end_sync(sync), 0);
  EXPECT_TRUE(b.disk.is_durable("/f", 0, kPage));
  b.disk.crash();
  EXPECT_EQ(b.all("/f"), Bytes(kPage));
}

TEST(SimDisk, APageThatIsWrittenAgainDuringASyncIsTheOneOrTheOther) {
  std::set<Fate> fates;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 1);
    b.write(file, pattern(0xB, kPage), 0, false);
    const auto sync = b.disk.begin_sync(file);
    b.write(file, pattern(0xC, kPage), 0, false);
    ASSERT_EQ(b.disk.end_sync(sync), 0);
    EXPECT_FALSE(b.disk.is_durable("/f", 0, kPage));
    b.disk.crash();
    for (std::size_t i = 0; i < kPage / kSector; ++i) {
      const Fate fate = fate_of(b, "/f", i, 0xB, 0xC, kPage);
      ASSERT_NE(fate, Fate::kNone) << "older than what was synced: seed " << seed;
      fates.insert(fate);
    }
  }
  EXPECT_TRUE(fates.contains(Fate::kKept) && fates.contains(Fate::kLost));
}

TEST(SimDisk, ASyncHoldsForASectorWhosePageIsWrittenMeanwhile) {
  const Bytes bytes = pattern(0xB, kPage);
  for (const bool durable : {false, true}) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      Bench b(seed);
      const auto file = b.durable_file("/f", 1);
      const auto write = [&](std::size_t sector, bool and_durable) {
        const auto part = std::span(bytes).subspan(sector * kSector, kSector);
        (void)b.disk.end_write(b.disk.begin_write(file, part, sector * kSector, and_durable),
                               nullptr);
      };
      write(0, false);
      const auto sync = b.disk.begin_sync(file);
      write(1, durable);
      ASSERT_EQ(b.disk.end_sync(sync), 0);
      b.disk.crash();
      ASSERT_EQ(fate_of(b, "/f", 0, 0xA, 0xB, kPage), Fate::kKept)
          << "seed " << seed << (durable ? " beside a durable write" : " beside a buffered write");
      if (durable) {
        ASSERT_EQ(fate_of(b, "/f", 1, 0xA, 0xB, kPage), Fate::kKept);
      }
    }
  }
}

TEST(SimDisk, S35_AFailedSyncDropsThePagesAndTheNextOneSucceeds) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 1);
    b.write(file, pattern(0xB, kPage), 0, false);
    b.disk.faults.sync_error = kAlways;
    EXPECT_EQ(b.sync(file), -EIO);
    b.disk.faults.sync_error = 0;
    EXPECT_TRUE(b.disk.has_lied());
    EXPECT_EQ(b.sync(file), 0) << "the kernel has forgotten";
    EXPECT_EQ(b.all("/f"), pattern(0xB, kPage)) << "reads do not show it";
    EXPECT_FALSE(b.disk.is_durable("/f", 0, kPage));
    b.disk.crash();
    ASSERT_EQ(b.all("/f"), pattern(0xA, kPage)) << "the power failure does: seed " << seed;
  }
}

TEST(SimDisk, AnAbandonedSyncMakesNothingDurable) {
  Bench b(1);
  const auto file = b.durable_file("/f", 1);
  b.write(file, pattern(0xB, kPage), 0, false);
  const auto sync = b.disk.begin_sync(file);
  EXPECT_TRUE(b.disk.has_sync(sync));
  b.disk.abandon_sync(sync);
  EXPECT_FALSE(b.disk.has_sync(sync));
  EXPECT_FALSE(b.disk.is_durable("/f", 0, kPage));
}

// --- transfers that go wrong -------------------------------------------------------------------

TEST(SimDisk, TransfersAreShortByWholePagesButNeverEmpty) {
  std::set<std::int32_t> written, read;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 4);
    b.disk.faults.short_transfer = kAlways;
    const std::int32_t size = b.write(file, pattern(0xB, 4 * kPage), 0, true);
    ASSERT_GT(size, 0);
    written.insert(size);
    const auto done = static_cast<std::size_t>(size);
    const Bytes left = b.all("/f"), is = pattern(0xB, 4 * kPage), was = pattern(0xA, 4 * kPage);
    EXPECT_TRUE(std::equal(left.begin(), left.begin() + size, is.begin()));
    EXPECT_TRUE(std::equal(left.begin() + size, left.end(), was.begin() + size));
    EXPECT_TRUE(b.disk.is_durable("/f", 0, done));
    Bytes buffer(4 * kPage);
    read.insert(b.disk.read(file, buffer, 0));
    EXPECT_EQ(b.write(file, pattern(0xC, kPage), 0, false), static_cast<std::int32_t>(kPage));
  }
  const std::set<std::int32_t> expected{kPage, 2 * kPage, 3 * kPage, 4 * kPage};
  EXPECT_EQ(written, expected);
  EXPECT_EQ(read, expected);
}

TEST(SimDisk, AFailedWriteLeavesAnyPartAndNothingDurable) {
  std::set<std::size_t> parts;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 3);
    b.disk.faults.write_error = kAlways;
    ASSERT_EQ(b.write(file, pattern(0xB, 3 * kPage), 0, true), -EIO);
    const Bytes left = b.all("/f"), is = pattern(0xB, 3 * kPage), was = pattern(0xA, 3 * kPage);
    const auto part = static_cast<std::size_t>(
        std::ranges::mismatch(left, is).in1 - left.begin());
    EXPECT_TRUE(std::equal(left.begin() + static_cast<std::ptrdiff_t>(part), left.end(),
                           was.begin() + static_cast<std::ptrdiff_t>(part)));
    EXPECT_TRUE(part == 0 || !b.disk.is_durable("/f", 0, part));
    parts.insert(part);
  }
  EXPECT_EQ(parts, (std::set<std::size_t>{0, kPage, 2 * kPage, 3 * kPage}));
}

TEST(SimDisk, AReadFails) {
  Bench b(1);
  const auto file = b.durable_file("/f", 1);
  Bytes buffer(kPage);
  EXPECT_EQ(b.disk.read(file, buffer, 0), static_cast<std::int32_t>(kPage));
  EXPECT_EQ(buffer, pattern(0xA, kPage));
  EXPECT_EQ(b.disk.read(file, buffer, kPage), 0) << "the end of the file";
  b.disk.faults.read_error = kAlways;
  EXPECT_EQ(b.disk.read(file, buffer, 0), -EIO);
}

TEST(SimDisk, S36_AFullDiskTakesWhatFitsThenNothingNew) {
  Bench b(1);
  const auto file = b.durable_file("/f", 2);
  b.disk.close(b.durable_file("/filler", 3));
  b.disk.capacity_pages = b.disk.pages_in_use() + 2;
  EXPECT_EQ(b.write(file, pattern(0xB, 4 * kPage), 2 * kPage, true),
            static_cast<std::int32_t>(2 * kPage));
  EXPECT_EQ(b.disk.size("/f"), 4 * kPage);
  EXPECT_EQ(b.write(file, pattern(0xB, kPage), 4 * kPage, true), -ENOSPC);
  EXPECT_EQ(b.disk.size("/f"), 4 * kPage);
  EXPECT_EQ(b.write(file, pattern(0xC, 4 * kPage), 0, true), static_cast<std::int32_t>(4 * kPage))
      << "what has its blocks can be overwritten";
  EXPECT_EQ(b.disk.open("/new", {.create = true}), -ENOSPC);
  EXPECT_GE(b.disk.open("/f", {}), 0);
  ASSERT_EQ(b.disk.unlink("/filler"), 0);
  EXPECT_EQ(b.write(file, pattern(0xB, kPage), 4 * kPage, true), -ENOSPC) << "not free yet";
  b.sync_names();
  EXPECT_EQ(b.write(file, pattern(0xB, kPage), 4 * kPage, true), static_cast<std::int32_t>(kPage));
  EXPECT_GE(b.disk.open("/new", {.create = true}), 0);
  EXPECT_EQ(b.disk.pages_in_use(), 5u);
}

TEST(SimDisk, AllocatedBlocksAreZerosAndDurableAfterASync) {
  Bench b(1);
  const auto file = b.durable_file("/f", 1);
  b.disk.capacity_pages = b.disk.pages_in_use() + 2;
  EXPECT_EQ(b.disk.allocate(file, 4 * kPage), -ENOSPC);
  EXPECT_EQ(b.disk.size("/f"), kPage) << "all or nothing";
  EXPECT_EQ(b.disk.allocate(file, 3 * kPage), 0);
  Bytes buffer(kPage);
  EXPECT_EQ(b.disk.read(file, buffer, 2 * kPage), static_cast<std::int32_t>(kPage));
  EXPECT_EQ(buffer, Bytes(kPage));
  EXPECT_EQ(b.disk.read(file, buffer, 0), static_cast<std::int32_t>(kPage));
  EXPECT_EQ(buffer, pattern(0xA, kPage)) << "what was there stays";
  EXPECT_FALSE(b.disk.is_durable("/f", kPage, 2 * kPage));
  b.sync(file);
  EXPECT_TRUE(b.disk.is_durable("/f", kPage, 2 * kPage));
  b.disk.can_allocate = false;
  EXPECT_EQ(b.disk.allocate(file, 3 * kPage), -EOPNOTSUPP);
}

TEST(SimDisk, S40_AMisdirectedWriteLandsWholeAtAnotherPlaceOfTheFile) {
  std::set<std::size_t> places;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 6);
    b.disk.faults.misdirected_write = kAlways;
    const Bytes bytes = pattern(0xB, kPage);
    ASSERT_EQ(b.write(file, bytes, 2 * kPage, true), static_cast<std::int32_t>(kPage)) << "a lie";
    EXPECT_TRUE(b.disk.has_lied());
    std::size_t found = 0;
    for (std::size_t page = 0; page < 6; ++page) {
      const Bytes left = b.disk.peek("/f", page * kPage, kPage);
      if (left == bytes) {
        places.insert(page);
        ++found;
      } else {
        const Bytes was = pattern(0xA, 6 * kPage);
        EXPECT_TRUE(std::ranges::equal(left, std::span(was).subspan(page * kPage, kPage)));
      }
    }
    EXPECT_EQ(found, 1u);
  }
  EXPECT_EQ(places.size(), 6u);
}

TEST(SimDisk, AReadMayComeFromAnotherPlaceOrWithAWrongBit) {
  std::set<std::byte> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.open("/f");
    for (std::uint8_t page = 0; page < 4; ++page) {
      b.write(file, Bytes(kPage, std::byte{page}), page * kPage, true);
    }
    EXPECT_FALSE(b.disk.has_lied());
    b.disk.faults.misdirected_read = kAlways;
    Bytes buffer(kPage);
    ASSERT_EQ(b.disk.read(file, buffer, kPage), static_cast<std::int32_t>(kPage));
    EXPECT_EQ(buffer, Bytes(kPage, buffer[0]));
    seen.insert(buffer[0]);
    EXPECT_TRUE(b.disk.has_lied());

    b.disk.faults = {.flip_on_read = kAlways};
    ASSERT_EQ(b.disk.read(file, buffer, kPage), static_cast<std::int32_t>(kPage));
    int bits = 0;
    for (const std::byte byte : buffer) {
      bits += std::popcount(std::to_integer<std::uint8_t>(byte ^ std::byte{1}));
    }
    EXPECT_EQ(bits, 1);
    b.disk.faults = {};
    ASSERT_EQ(b.disk.read(file, buffer, kPage), static_cast<std::int32_t>(kPage));
    EXPECT_EQ(buffer, Bytes(kPage, std::byte{1})) << "only that read was wrong";
  }
  EXPECT_EQ(seen.size(), 4u);
}

TEST(SimDisk, S28_RotDamagesOneSectorForGood) {
  std::set<std::string> places;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    b.durable_file("/x.seg", 2);
    b.durable_file("/y.log", 2);
    EXPECT_EQ(b.disk.rot(".none"), std::nullopt);
    EXPECT_FALSE(b.disk.has_lied());
    const auto what = b.disk.rot(".seg");
    ASSERT_TRUE(what);
    places.insert(*what);
    EXPECT_TRUE(b.disk.has_lied());
    const auto damaged = [&] {
      std::vector<std::size_t> sectors;
      for (std::size_t i = 0; i < 2 * kPage / kSector; ++i) {
        if (fate_of(b, "/x.seg", i, 0xA, 0xA, 2 * kPage) != Fate::kKept) sectors.push_back(i);
      }
      return sectors;
    };
    const auto hit = damaged();
    ASSERT_EQ(hit.size(), 1u);
    EXPECT_EQ(*what, "/x.seg at " + std::to_string(hit[0] * kSector));
    EXPECT_EQ(b.all("/y.log"), pattern(0xA, 2 * kPage));
    b.disk.crash();
    EXPECT_EQ(damaged(), hit) << "in what is durable, too";
  }
  EXPECT_EQ(places.size(), 2 * kPage / kSector);
}

// --- another disk ------------------------------------------------------------------------------

TEST(SimDisk, S56_AWipedDiskIsEmptyAndWorks) {
  Bench b(1);
  ASSERT_EQ(b.disk.make_directory("/d"), 0);
  const auto file = b.durable_file("/f", 2);
  const Bytes bytes = pattern(0xB, kPage);
  const auto write = b.disk.begin_write(file, bytes, 0, true);
  b.disk.wipe();
  EXPECT_FALSE(b.disk.has_write(write));
  EXPECT_EQ(b.disk.list("/"), std::vector<std::string>{});
  EXPECT_EQ(b.disk.size("/f"), std::nullopt);
  EXPECT_EQ(b.disk.pages_in_use(), 0u);
  EXPECT_EQ(b.disk.files_open(), 0u);
  b.disk.crash();
  EXPECT_EQ(b.disk.list("/"), std::vector<std::string>{});
  b.durable_file("/f", 1);
  EXPECT_TRUE(b.disk.is_durable("/f", 0, kPage));
}

TEST(SimDisk, S57_ABackupHoldsWhatWasDurableAndComesBackWhole) {
  Bench b(1);
  ASSERT_EQ(b.disk.make_directory("/d"), 0);
  b.sync_names();
  const auto file = b.durable_file("/f", 2);
  b.write(b.open("/d/inner"), pattern(0xC, kPage), 0, true);
  b.sync_names("/d");
  b.write(file, pattern(0xB, kPage), 0, false);
  b.open("/unsynced");
  const auto backup = b.disk.backup();
  b.write(file, pattern(0xD, 4 * kPage), 0, true);
  ASSERT_EQ(b.disk.unlink("/d/inner"), 0);
  b.sync_names("/d");
  b.disk.restore(*backup);
  EXPECT_EQ(b.all("/f"), pattern(0xA, 2 * kPage));
  EXPECT_EQ(b.all("/d/inner"), pattern(0xC, kPage));
  EXPECT_EQ(b.disk.size("/unsynced"), std::nullopt);
  EXPECT_EQ(b.disk.pages_in_use(), 3u);
  EXPECT_TRUE(b.disk.is_durable("/f", 0, 2 * kPage));
  b.disk.crash();
  EXPECT_EQ(b.all("/f"), pattern(0xA, 2 * kPage));
  b.sync_names("/d");  // it is a directory still
  // Once more: the backup itself was not changed by what was written to its copy.
  b.disk.restore(*backup);
  EXPECT_EQ(b.all("/f"), pattern(0xA, 2 * kPage));
}

TEST(SimDisk, ABackupHasTheLengthThatWasDurable) {
  Bench b(1);
  const auto file = b.durable_file("/f", 2);
  b.write(file, pattern(0xB, kPage), 3 * kPage, false);
  const auto backup = b.disk.backup();
  b.disk.restore(*backup);
  EXPECT_EQ(b.all("/f"), pattern(0xA, 2 * kPage));
}

// --- processes that go while writes are on their way -------------------------------------------

TEST(SimDisk, ADetachedWriteGoesOnWithoutItsProcess) {
  Bench b(1);
  const auto file = b.durable_file("/f", 2);
  Disk::WriteId write = 0;
  {
    Bytes bytes = pattern(0xB, kPage);
    write = b.disk.begin_write(file, bytes, kPage, true);
    b.disk.detach_write(write);
    std::ranges::fill(bytes, std::byte{0});
  }
  b.disk.close(file);
  EXPECT_EQ(b.disk.files_open(), 1u) << "the operation holds the file";
  bool changed = true;
  EXPECT_EQ(b.disk.end_write(write, &changed), static_cast<std::int32_t>(kPage));
  EXPECT_FALSE(changed);
  EXPECT_EQ(b.disk.peek("/f", kPage, kPage), pattern(0xB, kPage));
  EXPECT_TRUE(b.disk.is_durable("/f", kPage, kPage));
  EXPECT_EQ(b.disk.files_open(), 0u);
}

TEST(SimDisk, AnAbandonedWriteLeavesAnyPartAndNothingDurable) {
  std::set<std::size_t> parts;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench b(seed);
    const auto file = b.durable_file("/f", 3);
    const Bytes bytes = pattern(0xB, 3 * kPage);
    const auto write = b.disk.begin_write(file, bytes, 0, true);
    b.disk.abandon_write(write);
    EXPECT_FALSE(b.disk.has_write(write));
    const Bytes left = b.all("/f");
    const auto part = static_cast<std::size_t>(
        std::ranges::mismatch(left, bytes).in1 - left.begin());
    EXPECT_TRUE(part == 0 || !b.disk.is_durable("/f", 0, part));
    parts.insert(part);
  }
  EXPECT_EQ(parts, (std::set<std::size_t>{0, kPage, 2 * kPage, 3 * kPage}));
}

TEST(SimDisk, ABufferThatChangesOnTheWayIsNoticed) {
  Bench b(1);
  const auto file = b.open("/f");
  for (const std::size_t at : {std::size_t{0}, kPage / 2, kPage - 1}) {
    Bytes bytes = pattern(0xB, kPage);
    bool changed = true;
    (void)b.disk.end_write(b.disk.begin_write(file, bytes, 0, false), &changed);
    EXPECT_FALSE(changed);
    const auto write = b.disk.begin_write(file, bytes, 0, false);
    bytes[at] ^= std::byte{1};
    (void)b.disk.end_write(write, &changed);
    EXPECT_TRUE(changed);
  }
}

// --- is_durable() ------------------------------------------------------------------------------

TEST(SimDisk, ANameIsDurableOnlyInADirectoryWhoseOwnNameIs) {
  Bench b(1);
  ASSERT_EQ(b.disk.make_directory("/d"), 0);
  b.write(b.open("/d/f"), pattern(0xA, kPage), 0, true);
  EXPECT_FALSE(b.disk.is_durable("/d/f", 0, kPage));
  b.sync_names("/d");
  EXPECT_FALSE(b.disk.is_durable("/d/f", 0, kPage)) << "/d itself may vanish";
  b.sync_names("/");
  EXPECT_TRUE(b.disk.is_durable("/d/f", 0, kPage));
}

TEST(SimDisk, ANameThatWasMovedAwayAndBackIsDurableOnlyWhenThatIs) {
  Bench b(1);
  b.durable_file("/f", 1);
  ASSERT_EQ(b.disk.rename("/f", "/g"), 0);
  ASSERT_EQ(b.disk.rename("/g", "/f"), 0);
  EXPECT_FALSE(b.disk.is_durable("/f", 0, kPage)) << "only the first change may be kept";
  b.sync_names();
  EXPECT_TRUE(b.disk.is_durable("/f", 0, kPage));
}

/// Chance does things to a few files; then everything that is_durable() vouches for must be there
/// after a power failure, byte for byte.
class Life {
 public:
  Life(std::uint64_t seed, std::size_t alignment)
      : bench_(seed), random_(seed, "life"), alignment_(alignment) {
    EXPECT_EQ(bench_.disk.make_directory("/d"), 0);
    if (random_.coin()) bench_.sync_names("/");
    for (auto& bytes : buffers_) {
      for (auto& byte : bytes) byte = static_cast<std::byte>(random_.next() | 1);
    }
  }

  void live(std::size_t steps) {
    bench_.disk.faults.sync_error = random_.coin() ? 50'000 : 0;
    bench_.disk.faults.short_transfer = random_.coin() ? 200'000 : 0;
    for (; steps > 0; --steps) step();
  }

  struct Claim {
    std::string path;
    std::uint64_t offset;
    Bytes bytes;
  };
  void crash_and_compare() {
    std::vector<Claim> claims;
    for (const std::string& path : kPaths) {
      const std::uint64_t size = bench_.disk.size(path).value_or(0);
      for (std::uint64_t at = 0; at < size; at += kSector) {
        const std::size_t part = std::min<std::uint64_t>(kSector, size - at);
        if (is_being_written(path, at, part)) continue;  // may be torn, whatever it was
        if (bench_.disk.is_durable(path, at, part)) {
          claims.push_back({path, at, bench_.disk.peek(path, at, part)});
        } else {
          ++not_durable;
        }
      }
    }
    bench_.disk.crash();
    for (const Claim& claim : claims) {
      ASSERT_TRUE(bench_.disk.peek(claim.path, claim.offset, claim.bytes.size()) == claim.bytes)
          << claim.path << " at " << claim.offset;
    }
    durable += claims.size();
  }

  std::size_t durable = 0, not_durable = 0;  // sectors

 private:
  struct Writing {
    Disk::WriteId id;
    Disk::FileId file;
    std::uint64_t begin, end;
  };
  static constexpr std::size_t kBytesMax = 6 * kPage;
  inline static const std::string kPaths[] = {"/a", "/b", "/d/a", "/d/b"};

  void step() {
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2:
        return begin_write();
      case 3:
      case 4:
        return end_one(writes_, [&](const Writing& write) {
          (void)bench_.disk.end_write(write.id, nullptr);
        });
      case 5:
        return begin_sync();
      case 6:
        return end_one(syncs_, [&](auto id) { (void)bench_.disk.end_sync(id); });
      default:
        return change_names();
    }
  }
  void begin_write() {
    const auto file = bench_.open(random_.pick(kPaths));
    const std::size_t units = kBytesMax / alignment_;
    const std::uint64_t first = random_.below(units);
    const std::size_t count = random_.between(1, std::min<std::uint64_t>(units - first, 12));
    const auto bytes = std::span(buffers_[random_.below(4)]).first(count * alignment_);
    const std::uint64_t offset = first * alignment_;
    writes_.push_back({bench_.disk.begin_write(file, bytes, offset, random_.coin()), file, offset,
                       offset + bytes.size()});
    bench_.disk.close(file);
  }
  void begin_sync() {
    const bool names = random_.coin();
    const auto file = names ? bench_.directory(random_.coin() ? "/" : "/d")
                            : bench_.open(random_.pick(kPaths));
    syncs_.push_back(bench_.disk.begin_sync(file));
    bench_.disk.close(file);
  }
  void change_names() {
    const std::string& from = random_.pick(kPaths);
    if (random_.coin()) {
      (void)bench_.disk.unlink(from);
    } else {
      const std::string to = from.substr(0, from.size() - 1) + (from.back() == 'a' ? 'b' : 'a');
      (void)bench_.disk.rename(from, to);
    }
  }
  template <class T, class F>
  void end_one(std::vector<T>& under_way, F&& end) {
    if (under_way.empty()) return;
    const std::size_t at = random_.below(under_way.size());
    end(under_way[at]);
    under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(at));
  }
  bool is_being_written(const std::string& path, std::uint64_t at, std::size_t size_bytes) {
    const auto file = bench_.open(path);
    bench_.disk.close(file);
    return std::ranges::any_of(writes_, [&](const Writing& write) {
      return write.file == file && write.begin < at + size_bytes && at < write.end;
    });
  }

  Bench bench_;
  Random random_;
  std::size_t alignment_;
  std::array<std::array<std::byte, kBytesMax>, 4> buffers_{};
  std::vector<Writing> writes_;
  std::vector<Disk::SyncId> syncs_;
};

class SimDiskLife : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Alignment, SimDiskLife, testing::Values(kPage, kSector, 100));

TEST_P(SimDiskLife, WhateverIsCalledDurableIsThereAfterAPowerFailure) {
  std::size_t durable = 0, not_durable = 0;
  for (std::uint64_t seed = 0; seed < 3 * kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed, GetParam());
    life.live(1 + seed % 60);
    life.crash_and_compare();
    durable += life.durable;
    not_durable += life.not_durable;
  }
  EXPECT_GT(durable, 1000u);
  EXPECT_GT(not_durable, 1000u);
}

}  // namespace
}  // namespace sluice::sim
