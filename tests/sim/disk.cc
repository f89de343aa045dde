#include "tests/sim/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice::sim {
namespace {

constexpr std::size_t kSectorsPerPage = Disk::kPageBytes / Disk::kSectorBytes;
constexpr std::uint8_t kAllSectors = (1u << kSectorsPerPage) - 1;
constexpr std::uint32_t kMillion = 1'000'000;

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1,
                                                  bytes.size() - 1) == 0);
}

std::uint64_t hash_of(std::span<const std::byte> bytes) { return checksum(bytes); }

}  // namespace

Disk::Disk(Random random) : random_(random) {
  const FileId root = add_file();
  files_[root]->directory = true;
  files_[root]->path = "/";
  names_["/"] = durable_names_["/"] = root;
}

Disk::~Disk() = default;

// --- names -----------------------------------------------------------------------------------

std::string Disk::parent(const std::string& path) {
  const auto slash = path.rfind('/');
  SLUICE_CHECK(slash != std::string::npos);
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::optional<Disk::FileId> Disk::find(const std::string& path) const {
  const auto found = names_.find(path);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

Disk::FileId Disk::add_file() {
  files_.push_back(std::make_unique<File>());
  return static_cast<FileId>(files_.size() - 1);
}

void Disk::apply(Names& names, const NameChange& change) {
  if (change.from.empty()) {
    names[change.to] = *change.file;
    return;
  }
  const auto from = names.find(change.from);
  if (from == names.end()) return;  // the change before it was lost
  const FileId file = from->second;
  names.erase(from);
  if (!change.to.empty()) names[change.to] = file;
}

void Disk::log_change(const std::string& directory, NameChange change) {
  apply(names_, change);
  changes_[directory].push_back(std::move(change));
}

std::int32_t Disk::make_directory(const std::string& path) {
  if (const auto file = find(path)) return files_[*file]->directory ? 0 : -EEXIST;
  if (!find(parent(path))) return -ENOENT;
  const FileId id = add_file();
  files_[id]->directory = true;
  files_[id]->path = path;
  log_change(parent(path), {{}, path, id});
  return 0;
}

std::int32_t Disk::open(const std::string& path, io::OpenFlags flags) {
  const auto found = find(path);
  if (found && flags.create && flags.exclusive) return -EEXIST;
  if (found && flags.directory && !files_[*found]->directory) return -ENOTDIR;
  if (!found && !flags.create) return -ENOENT;
  if (!found && !find(parent(path))) return -ENOENT;
  if (!found && pages_in_use_ >= capacity_pages) return -ENOSPC;
  FileId id = 0;
  if (found) {
    id = *found;
  } else {
    id = add_file();
    log_change(parent(path), {{}, path, id});
  }
  ++files_[id]->opens;
  return static_cast<std::int32_t>(id);
}

void Disk::close(FileId file) {
  SLUICE_CHECK(files_[file]->opens > 0);
  --files_[file]->opens;
}

std::int32_t Disk::rename(const std::string& from, const std::string& to) {
  SLUICE_CHECK(parent(from) == parent(to));  // all that is used
  if (!find(from)) return -ENOENT;
  log_change(parent(from), {from, to, {}});
  return 0;
}

std::int32_t Disk::unlink(const std::string& path) {
  if (!find(path)) return -ENOENT;
  log_change(parent(path), {path, {}, {}});
  forget_unreachable();
  return 0;
}

std::optional<std::vector<std::string>> Disk::list(const std::string& path) {
  const auto id = find(path);
  if (!id || !files_[*id]->directory) return std::nullopt;
  const std::string prefix = path == "/" ? path : path + "/";
  std::vector<std::string> result;
  for (auto it = names_.upper_bound(prefix); it != names_.end() && it->first.starts_with(prefix);
       ++it) {
    auto rest = it->first.substr(prefix.size());
    if (rest.find('/') == std::string::npos) result.push_back(std::move(rest));
  }
  random_.shuffle(std::span(result));  // a directory promises no order
  return result;
}

std::optional<std::uint64_t> Disk::size(const std::string& path) const {
  const auto id = find(path);
  if (!id) return std::nullopt;
  return files_[*id]->size;
}

std::size_t Disk::files_open() const {
  std::size_t count = 0;
  for (const auto& file : files_) count += file ? file->opens : 0;
  return count;
}

// --- data ------------------------------------------------------------------------------------

std::int32_t Disk::read(FileId id, std::span<std::byte> buffer, std::uint64_t offset) {
  if (random_.chance(faults.read_error)) return -EIO;
  const File& file = *files_[id];
  if (random_.chance(faults.misdirected_read) && file.pages.size() > 1) {
    offset = random_.below(file.pages.size()) * kPageBytes;
    has_lied_ = true;
    ++misdirected_reads_;
  }
  if (offset >= file.size) return 0;
  std::size_t size = static_cast<std::size_t>(
      std::min<std::uint64_t>(buffer.size(), file.size - offset));
  if (size > kPageBytes && random_.chance(faults.short_transfer)) {
    size = random_.between(1, size / kPageBytes) * kPageBytes;
  }
  for (std::size_t done = 0; done < size;) {
    const std::uint64_t at = offset + done;
    const std::size_t begin = at % kPageBytes;
    const std::size_t part = std::min(size - done, kPageBytes - begin);
    const auto& page = file.pages[at / kPageBytes].current;
    if (page) {
      std::memcpy(buffer.data() + done, page->bytes.data() + begin, part);
    } else {
      std::memset(buffer.data() + done, 0, part);
    }
    done += part;
  }
  if (size > 0 && random_.chance(faults.flip_on_read)) {
    buffer[random_.below(size)] ^= std::byte{1} << random_.below(8);
    has_lied_ = true;
  }
  return static_cast<std::int32_t>(size);
}

std::vector<std::byte> Disk::peek(const std::string& path, std::uint64_t offset,
                                  std::size_t size_bytes) const {
  const auto id = find(path);
  if (!id || offset + size_bytes > files_[*id]->size) return {};
  std::vector<std::byte> bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) {
    const auto& page = files_[*id]->pages[(offset + i) / kPageBytes].current;
    if (page) bytes[i] = page->bytes[(offset + i) % kPageBytes];
  }
  return bytes;
}

std::span<const std::byte> Disk::sector_of(const PageRef& page, std::size_t sector) {
  static constexpr std::array<std::byte, kSectorBytes> kZeros{};
  if (!page) return kZeros;
  return std::span(page->bytes).subspan(sector * kSectorBytes, kSectorBytes);
}

void Disk::set_sector(PageRef& page, std::size_t sector, std::span<const std::byte> bytes) {
  if (equal(sector_of(page, sector), bytes)) return;
  auto changed = std::make_shared<Page>();
  if (page) {
    changed->bytes = page->bytes;
  } else {
    changed->bytes.fill(std::byte{0});
  }
  std::ranges::copy(bytes, changed->bytes.begin() +
                               static_cast<std::ptrdiff_t>(sector * kSectorBytes));
  page = std::move(changed);
}

/// Equal pages are one page: cheap to compare, and half the memory.
void Disk::unify(Slot& slot) {
  if (slot.current == slot.durable) return;
  for (std::size_t i = 0; i < kSectorsPerPage; ++i) {
    if (!equal(sector_of(slot.current, i), sector_of(slot.durable, i))) return;
  }
  slot.durable = slot.current;
}

bool Disk::make_room(File& file, std::uint64_t end) {
  const std::size_t pages = (end + kPageBytes - 1) / kPageBytes;
  if (pages <= file.pages.size()) return true;
  const std::size_t more = pages - file.pages.size();
  if (pages_in_use_ + more > capacity_pages) return false;
  pages_in_use_ += more;
  file.pages.resize(pages);
  return true;
}

void Disk::store_page(File& file, std::size_t number, std::size_t begin,
                      std::span<const std::byte> bytes, bool durable) {
  Slot& slot = file.pages[number];
  const auto changed = [&](const PageRef& before) -> PageRef {
    if (bytes.size() == kPageBytes && all_zero(bytes)) return nullptr;
    auto page = std::make_shared<Page>();
    if (before) {
      page->bytes = before->bytes;
    } else {
      page->bytes.fill(std::byte{0});
    }
    std::memcpy(page->bytes.data() + begin, bytes.data(), bytes.size());
    return page;
  };
  const std::size_t first = begin / kSectorBytes;
  const std::size_t last = (begin + bytes.size() - 1) / kSectorBytes;
  std::uint8_t mask = 0;
  for (std::size_t i = first; i <= last; ++i) mask |= static_cast<std::uint8_t>(1u << i);
  const bool same = slot.current == slot.durable;
  slot.current = changed(slot.current);
  if (durable) {
    // What lies beside it in the same sector is written with it, as a real cache does.
    if (same) slot.durable = slot.current;
    for (std::size_t i = first; i <= last; ++i) {
      set_sector(slot.durable, i, sector_of(slot.current, i));
    }
    unify(slot);
    slot.dirty &= static_cast<std::uint8_t>(~mask);
    // A sync that is under way does not take it back.
    for (Sync& sync : syncs_) {
      if (files_[sync.file].get() != &file) continue;
      for (Sync::Covered& covered : sync.pages) {
        if (covered.number == number) covered.dirty &= static_cast<std::uint8_t>(~mask);
      }
    }
  } else {
    if (slot.dirty == 0) file.dirty_pages.push_back(static_cast<std::uint32_t>(number));
    slot.dirty |= mask;
  }
}

void Disk::store(File& file, std::span<const std::byte> bytes, std::uint64_t offset, bool durable) {
  file.size = std::max(file.size, offset + bytes.size());
  if (durable) file.durable_size = std::max(file.durable_size, offset + bytes.size());
  for (std::size_t done = 0; done < bytes.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t begin = at % kPageBytes;
    const std::size_t part = std::min(bytes.size() - done, kPageBytes - begin);
    store_page(file, at / kPageBytes, begin, bytes.subspan(done, part), durable);
    done += part;
  }
}

std::int32_t Disk::allocate(FileId id, std::uint64_t size_bytes) {
  if (!can_allocate) return -EOPNOTSUPP;
  File& file = *files_[id];
  if (!make_room(file, size_bytes)) return -ENOSPC;
  file.size = std::max(file.size, size_bytes);
  return 0;
}

Disk::WriteId Disk::begin_write(FileId file, std::span<const std::byte> bytes, std::uint64_t offset,
                                bool durable) {
  Write write;
  write.id = next_id_++;
  write.file = file;
  write.bytes = bytes;
  write.offset = offset;
  write.hash = hash_of(bytes);
  write.durable = durable;
  ++files_[file]->opens;  // the operation holds the file, whatever happens to its descriptor
  writes_.push_back(std::move(write));
  return writes_.back().id;
}

std::int32_t Disk::end_write(WriteId id, bool* changed) {
  const auto at = std::ranges::find(writes_, id, &Write::id);
  SLUICE_CHECK(at != writes_.end());
  const Write write = std::move(*at);
  writes_.erase(at);
  File& file = *files_[write.file];
  --file.opens;
  if (changed != nullptr) *changed = hash_of(write.bytes) != write.hash;
  std::size_t size = write.bytes.size();
  std::uint64_t offset = write.offset;
  if (random_.chance(faults.write_error)) {
    size = random_.below(size / kPageBytes + 1) * kPageBytes;
    if (make_room(file, offset + size)) store(file, write.bytes.first(size), offset, false);
    return -EIO;
  }
  if (size > kPageBytes && random_.chance(faults.short_transfer)) {
    size = random_.between(1, size / kPageBytes) * kPageBytes;
  }
  if (file.pages.size() > 2 && random_.chance(faults.misdirected_write)) {
    const std::uint64_t last = file.pages.size() - std::min(file.pages.size(), size / kPageBytes);
    offset = random_.between(0, last) * kPageBytes;
    has_lied_ = true;
  }
  if (!make_room(file, offset + size)) {
    // As much as fits; nothing at all is an error.
    const std::uint64_t room = std::max<std::uint64_t>(
        file.pages.size() + (capacity_pages > pages_in_use_ ? capacity_pages - pages_in_use_ : 0),
        file.pages.size()) * kPageBytes;
    if (room <= offset) return -ENOSPC;
    size = std::min<std::size_t>(size, room - offset);
    if (!make_room(file, offset + size)) return -ENOSPC;
  }
  store(file, write.bytes.first(size), offset, write.durable);
  return static_cast<std::int32_t>(size);
}

void Disk::detach_write(WriteId id) {
  const auto at = std::ranges::find(writes_, id, &Write::id);
  SLUICE_CHECK(at != writes_.end());
  at->own.assign(at->bytes.begin(), at->bytes.end());
  at->bytes = at->own;
}

void Disk::abandon_write(WriteId id) {
  const auto at = std::ranges::find(writes_, id, &Write::id);
  SLUICE_CHECK(at != writes_.end());
  const Write write = std::move(*at);
  writes_.erase(at);
  File& file = *files_[write.file];
  --file.opens;
  const std::size_t size = random_.below(write.bytes.size() / kPageBytes + 1) * kPageBytes;
  if (size > 0 && make_room(file, write.offset + size)) {
    store(file, write.bytes.first(size), write.offset, false);
  }
}

std::size_t Disk::files_written_durably() const {
  std::set<FileId> files;
  for (const Write& write : writes_) {
    if (write.durable) files.insert(write.file);
  }
  return files.size();
}

bool Disk::has_write(WriteId id) const { return std::ranges::find(writes_, id, &Write::id) != writes_.end(); }

Disk::SyncId Disk::begin_sync(FileId id) {
  File& file = *files_[id];
  ++file.opens;
  Sync sync;
  sync.id = next_id_++;
  sync.file = id;
  sync.size = file.size;
  if (file.directory) {
    sync.name_changes = changes_[file.path].size();
    sync.names_epoch = names_epoch_[file.path];
  } else {
    for (const std::uint32_t page : file.dirty_pages) {
      const Slot& slot = file.pages[page];
      sync.pages.push_back({page, slot.current, slot.dirty});
    }
  }
  syncs_.push_back(std::move(sync));
  return syncs_.back().id;
}

std::int32_t Disk::end_sync(SyncId id) {
  const auto at = std::ranges::find(syncs_, id, &Sync::id);
  SLUICE_CHECK(at != syncs_.end());
  const Sync sync = std::move(*at);
  syncs_.erase(at);
  File& file = *files_[sync.file];
  --file.opens;
  if (file.directory) {
    if (random_.chance(faults.sync_error)) return -EIO;
    auto& changes = changes_[file.path];
    // Another sync that ended meanwhile took some of them.
    const std::uint64_t gone = names_epoch_[file.path] - sync.names_epoch;
    const std::size_t count = sync.name_changes > gone ? sync.name_changes - gone : 0;
    for (std::size_t i = 0; i < count; ++i) apply(durable_names_, changes[i]);
    changes.erase(changes.begin(), changes.begin() + static_cast<std::ptrdiff_t>(count));
    names_epoch_[file.path] += count;
    forget_unreachable();
    return 0;
  }
  const bool failed = random_.chance(faults.sync_error);
  for (const auto& [number, page, dirty] : sync.pages) {
    Slot& slot = file.pages[number];
    if (failed) {
      // The pages count as clean and were never written (Rebello et al., "Can Applications Recover
      // from fsync Failures?", ATC 2020): reads see them until a power failure.
      slot.dirty = 0;
      continue;
    }
    if (dirty == kAllSectors) slot.durable = page;  // the same as sector by sector, and cheap
    for (std::size_t i = 0; i < kSectorsPerPage; ++i) {
      if ((dirty >> i & 1) == 0) continue;
      set_sector(slot.durable, i, sector_of(page, i));
      if (equal(sector_of(slot.current, i), sector_of(slot.durable, i))) {
        slot.dirty &= static_cast<std::uint8_t>(~(1u << i));
      }
    }
    unify(slot);
  }
  if (failed) has_lied_ = true;
  std::erase_if(file.dirty_pages, [&](std::uint32_t n) { return file.pages[n].dirty == 0; });
  if (failed) return -EIO;
  file.durable_size = std::max(file.durable_size, sync.size);
  return 0;
}

void Disk::abandon_sync(SyncId id) {
  const auto at = std::ranges::find(syncs_, id, &Sync::id);
  SLUICE_CHECK(at != syncs_.end());
  --files_[at->file]->opens;
  syncs_.erase(at);
}

bool Disk::has_sync(SyncId id) const {
  return std::ranges::find(syncs_, id, &Sync::id) != syncs_.end();
}

// --- what goes wrong -------------------------------------------------------------------------

void Disk::settle_sector(Slot& slot, std::size_t sector, const Page* next, std::uint32_t lost,
                         std::uint32_t torn, std::uint32_t zeroed) {
  const std::uint64_t fate = random_.below(kMillion);
  if (fate < lost) return;
  auto page = std::make_shared<Page>();
  if (slot.durable) {
    page->bytes = slot.durable->bytes;
  } else {
    page->bytes.fill(std::byte{0});
  }
  std::byte* to = page->bytes.data() + sector * kSectorBytes;
  std::size_t size = kSectorBytes;
  if (fate < lost + torn) size = random_.between(1, kSectorBytes - 1);
  const bool zero = fate >= lost + torn && fate < lost + torn + zeroed;
  if (zero || next == nullptr) {
    std::memset(to, 0, size);
  } else {
    std::memcpy(to, next->bytes.data() + sector * kSectorBytes, size);
  }
  slot.durable = std::move(page);
}

void Disk::crash_file(File& file, std::uint32_t lost, std::uint32_t torn, std::uint32_t zeroed) {
  for (const std::uint32_t number : file.dirty_pages) {
    Slot& slot = file.pages[number];
    for (std::size_t i = 0; i < kSectorsPerPage; ++i) {
      if ((slot.dirty >> i & 1) == 0) continue;
      settle_sector(slot, i, slot.current.get(), lost, torn, zeroed);
    }
    slot.dirty = 0;
  }
  file.dirty_pages.clear();
  if (file.size > file.durable_size) {
    file.durable_size = random_.coin() ? file.size : random_.between(file.durable_size, file.size);
  }
  const std::size_t pages = (file.durable_size + kPageBytes - 1) / kPageBytes;
  if (file.pages.size() > pages) {
    pages_in_use_ -= file.pages.size() - pages;
    file.pages.resize(pages);
  }
  for (Slot& slot : file.pages) slot.current = slot.durable;
  file.size = file.durable_size;
}

void Disk::crash_names(std::uint32_t lost) {
  Names names = durable_names_;
  for (const auto& [directory, changes] : changes_) {
    for (const NameChange& change : changes) {
      if (!random_.chance(lost)) apply(names, change);
    }
  }
  // What lies in a directory whose own name is lost is lost with it.
  std::erase_if(names, [&](const auto& name) {
    return name.first != "/" && !names.contains(parent(name.first));
  });
  names_ = durable_names_ = std::move(names);
  changes_.clear();
  names_epoch_.clear();
}

void Disk::crash() {
  static constexpr std::uint32_t kRates[] = {0, 100'000, 500'000, 900'000, 1'000'000};
  static constexpr std::uint32_t kRare[] = {0, 0, 20'000, 100'000};
  const std::uint32_t lost = random_.pick(kRates);
  const std::uint32_t torn = std::min(kMillion - lost, random_.pick(kRare));
  const std::uint32_t zeroed = std::min(kMillion - lost - torn, random_.pick(kRare));
  // What is on its way may be anywhere: as if it had completed without being durable, sector by
  // sector; or, as often, each write whole or not at all (so that a later one is there and an earlier
  // one is not).
  const bool whole = random_.coin();
  for (const Write& write : writes_) {
    File& file = *files_[write.file];
    const bool kept = !whole || random_.coin();
    if (kept && make_room(file, write.offset + write.bytes.size())) {
      store(file, write.bytes, write.offset, whole);
    }
  }
  writes_.clear();
  syncs_.clear();
  for (const auto& file : files_) {
    if (!file) continue;
    file->opens = 0;
    if (!file->directory) crash_file(*file, lost, torn, zeroed);
  }
  crash_names(random_.pick(kRates));
  forget_unreachable();
}

std::optional<std::string> Disk::rot(std::string_view suffix) {
  std::vector<std::pair<std::string, FileId>> candidates;
  for (const auto& [name, id] : names_) {
    if (name.ends_with(suffix) && !files_[id]->directory && !files_[id]->pages.empty()) {
      candidates.emplace_back(name, id);
    }
  }
  if (candidates.empty()) return std::nullopt;
  const auto& [name, id] = candidates[random_.below(candidates.size())];
  File& file = *files_[id];
  // Rather where something stands than in the zeros behind it.
  std::vector<std::size_t> written;
  for (std::size_t i = 0; i < file.pages.size(); ++i) {
    if (file.pages[i].current) written.push_back(i);
  }
  const std::size_t number =
      written.empty() ? random_.below(file.pages.size()) : written[random_.below(written.size())];
  Slot& slot = file.pages[number];
  const std::size_t sector = random_.below(kSectorsPerPage);
  std::array<std::byte, kSectorBytes> damage{};
  if (slot.current) {
    std::memcpy(damage.data(), slot.current->bytes.data() + sector * kSectorBytes, kSectorBytes);
  }
  const std::uint64_t kind = random_.below(3);
  if (kind == 0) damage[random_.below(kSectorBytes)] ^= std::byte{1} << random_.below(8);
  if (kind == 1) damage.fill(std::byte{0});
  if (kind == 2) {
    for (auto& byte : damage) byte = static_cast<std::byte>(random_.next());
  }
  store_page(file, number, sector * kSectorBytes, damage, true);
  has_lied_ = true;
  return name + " at " + std::to_string(number * kPageBytes + sector * kSectorBytes);
}

void Disk::wipe() {
  writes_.clear();
  syncs_.clear();
  names_.clear();
  durable_names_.clear();
  changes_.clear();
  names_epoch_.clear();
  files_.clear();
  pages_in_use_ = 0;
  const FileId root = add_file();
  files_[root]->directory = true;
  files_[root]->path = "/";
  names_["/"] = durable_names_["/"] = root;
}

std::shared_ptr<const Disk::Backup> Disk::backup() const {
  auto copy = std::make_shared<Backup>();
  for (const auto& [name, id] : durable_names_) {
    const File& file = *files_[id];
    Backup::Copy& to = copy->files[name];
    to.size = file.durable_size;
    to.directory = file.directory;
    const std::size_t pages = (file.durable_size + kPageBytes - 1) / kPageBytes;
    for (std::size_t i = 0; i < std::min(pages, file.pages.size()); ++i) {
      to.pages.push_back(file.pages[i].durable);
    }
  }
  return copy;
}

void Disk::restore(const Backup& backup) {
  wipe();
  for (const auto& [name, from] : backup.files) {
    if (name == "/") continue;
    const FileId id = add_file();
    File& file = *files_[id];
    file.directory = from.directory;
    file.path = from.directory ? name : "";
    file.size = file.durable_size = from.size;
    for (const PageRef& page : from.pages) {
      Slot slot;
      slot.current = slot.durable = page;
      file.pages.push_back(slot);
    }
    pages_in_use_ += file.pages.size();
    names_[name] = durable_names_[name] = id;
  }
}

bool Disk::is_name_durable(const std::string& path) const {
  const auto named = durable_names_.find(path);
  const auto current = names_.find(path);
  if (named == durable_names_.end() || current == names_.end()) return false;
  if (named->second != current->second) return false;
  if (path == "/") return true;
  const std::string directory = parent(path);
  // It may be there again and yet vanish: moved away and back, and only the first change is kept.
  const auto changes = changes_.find(directory);
  if (changes != changes_.end() &&
      std::ranges::any_of(changes->second, [&](const NameChange& change) {
        return change.from == path || change.to == path;
      })) {
    return false;
  }
  return is_name_durable(directory);
}

bool Disk::is_durable(const std::string& path, std::uint64_t offset,
                      std::uint64_t size_bytes) const {
  if (!is_name_durable(path)) return false;
  const File& file = *files_[names_.at(path)];
  if (offset + size_bytes > file.durable_size) return false;
  for (std::uint64_t at = offset / kSectorBytes; at * kSectorBytes < offset + size_bytes; ++at) {
    const Slot& slot = file.pages[at / kSectorsPerPage];
    const std::size_t sector = at % kSectorsPerPage;
    if ((slot.dirty >> sector & 1) != 0) return false;
    if (slot.current == slot.durable) continue;
    if (!std::ranges::equal(sector_of(slot.current, sector), sector_of(slot.durable, sector))) {
      return false;
    }
  }
  return true;
}

void Disk::forget_unreachable() {
  std::vector<bool> named(files_.size(), false);
  for (const auto* names : {&names_, &durable_names_}) {
    for (const auto& [name, id] : *names) named[id] = true;
  }
  for (const auto& [directory, changes] : changes_) {
    for (const auto& change : changes) {
      if (change.file) named[*change.file] = true;
    }
  }
  for (std::size_t i = 0; i < files_.size(); ++i) {
    File& file = *files_[i];
    if (named[i] || file.opens > 0 || file.pages.empty()) continue;
    pages_in_use_ -= file.pages.size();
    file.pages.clear();
    file.size = file.durable_size = 0;
    file.dirty_pages.clear();
  }
}

}  // namespace sluice::sim
