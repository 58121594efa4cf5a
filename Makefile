# Installs what `cargo build --release` made: the command, the libraries, the headers and the pkg-config file.
#
#   make install [PREFIX=/usr/local] [DESTDIR=] [PROFILE=release] [TARGET=target]
#   make uninstall

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include/tunsock
PROFILE ?= release
TARGET ?= target
built := $(TARGET)/$(PROFILE)
version := $(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
headers := $(shell cd include && find . -name '*.h')

.PHONY: install uninstall
install:
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	install -m 755 $(built)/tunsock $(DESTDIR)$(BINDIR)/tunsock
	install -m 755 $(built)/libtunsock.so $(DESTDIR)$(LIBDIR)/libtunsock.so.$(version)
	ln -sf libtunsock.so.$(version) $(DESTDIR)$(LIBDIR)/libtunsock.so.0
	ln -sf libtunsock.so.0 $(DESTDIR)$(LIBDIR)/libtunsock.so
	install -m 644 $(built)/libtunsock.a $(DESTDIR)$(LIBDIR)/libtunsock.a
	cd include && for header in $(headers); do install -D -m 644 $$header $(DESTDIR)$(INCLUDEDIR)/$$header; done
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(version)|' tunsock.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/tunsock.pc

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/tunsock $(DESTDIR)$(LIBDIR)/libtunsock.so* $(DESTDIR)$(LIBDIR)/libtunsock.a
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/tunsock.pc $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(headers))
