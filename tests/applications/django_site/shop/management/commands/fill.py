"""Rows of one instance of the site: `fill NAME USERS ORDERS`."""

import datetime

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.contrib.sites.models import Site
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from shop.models import Category, Note, Order, Product

BATCH = 5000
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def _save(model, rows):
    return model.objects.bulk_create(rows, batch_size=BATCH)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("users", type=int)
        parser.add_argument("orders", type=int)

    def handle(self, *, name, users, orders, **options):
        if name == "old":
            # An application that was taken out and put in again has content types and permissions of other ids.
            ContentType.objects.filter(app_label__in=["shop", "auth"]).delete()
            call_command("migrate", verbosity=0)
        Site.objects.filter(pk=1).update(domain=f"{name}.example.org", name=name)
        _save(User, [User(username="gone")])
        User.objects.filter(username="gone").delete()
        people = ["root", *(f"{name}-{number}" for number in range(users))]
        if name != "old":
            people.reverse()
        _save(User, [User(username=who, password="!", email=f"{who}@example.org") for who in people])
        ids = dict(User.objects.values_list("username", "id"))
        self._rights(name, people, ids)
        self._goods(name, people, ids)
        placed = [START + datetime.timedelta(seconds=number) for number in range(orders)]
        rows = (
            Order(number=f"{name}-{n}", customer_id=ids[people[n % len(people)]], placed=at, total=n % 1000)
            for n, at in enumerate(placed)
        )
        _save(Order, rows)
        self._books(people, ids)

    def _rights(self, name, people, ids):
        permissions = list(Permission.objects.filter(content_type__app_label="shop").order_by("codename"))
        groups = {title: Group.objects.create(name=title) for title in ("staff", f"{name} only")}
        groups["staff"].permissions.set(permissions[::2])
        groups[f"{name} only"].permissions.set(permissions[1::2])
        _save(
            User.groups.through,
            [
                User.groups.through(user_id=ids[who], group=group)
                for number, who in enumerate(people)
                for group in list(groups.values())[: 1 + number % 2]
            ],
        )
        _save(
            User.user_permissions.through,
            [
                User.user_permissions.through(user_id=ids[who], permission=permissions[number % len(permissions)])
                for number, who in enumerate(people)
            ],
        )

    def _goods(self, name, people, ids):
        parent = None
        for slug in ("all", f"{name}-tools", f"{name}-hammers"):
            parent = Category.objects.create(slug=slug, parent=parent)
        products = _save(Product, [Product(sku=f"{name}-{n}", owner_id=ids[who]) for n, who in enumerate(people)])
        through = Product.categories.through
        _save(through, [through(product_id=product.pk, category=parent) for product in products])
        kind = ContentType.objects.get_for_model(Product)
        _save(Note, [Note(content_type=kind, object_id=p.pk, text=f"of {p.sku}") for p in products[:100]])

    def _books(self, people, ids):
        kind = ContentType.objects.get_for_model(User)
        rows = (
            LogEntry(user_id=ids[who], content_type=kind, object_id=str(ids[who]), object_repr=who, action_flag=CHANGE)
            for who in people
        )
        _save(LogEntry, rows)
        _save(Session, [Session(session_key=f"{n:032}", session_data="", expire_date=timezone.now()) for n in range(9)])
